/** `holdfast receive`: messages one by one, each leased to whoever asked. */
import { type Command, InvalidArgumentError } from 'commander';
import type { Deliveries, Delivery, SettleResult } from '../client/index.ts';
import { Failure } from '../failure.ts';
import {
  addClientOptions,
  type ClientOptions,
  durationOption,
  print,
  untilInterrupted,
  withClient,
} from './client-options.ts';
import { addFilterOptions, type FilterOptions, filterOf } from './filter-options.ts';
import { jsonLine, messageJson, rawLine } from './message-lines.ts';
import { wholeNumber } from './options.ts';

interface ReceiveOptions extends ClientOptions, FilterOptions {
  readonly group: string;
  readonly max?: number;
  readonly lease: number;
  readonly from: 'earliest' | 'latest';
  readonly fifo?: boolean;
  readonly hold?: boolean;
  readonly follow?: boolean;
  readonly consumer: string;
}

const PER_CALL = 64;
const FOLLOW_WAIT_MS = 25_000;

export function registerReceive(program: Command): void {
  const receive = program
    .command('receive <TOPIC>')
    .description('print messages that are leased one by one, and acknowledge what was printed')
    .requiredOption('-g, --group <NAME>', 'the group, which its first receive subscribes')
    .option(
      '-n, --max <N>',
      'stop after this many messages',
      wholeNumber(1, Number.MAX_SAFE_INTEGER),
    )
    .option('--lease <TIME>', 'how long the messages are held, 1s to 12h', durationOption, 30_000)
    .option('--hold', 'acknowledge nothing: holdfast ack, nack, extend do, by token; with --json')
    .option('--fifo', "a key's messages one after the other; settled by the first receive")
    .option(
      '--from <WHERE>',
      'where a new group begins: earliest or latest',
      fromOption,
      'earliest',
    )
    .option('--consumer <NAME>', 'who holds them, as lists show it', 'holdfast-receive')
    .option('-f, --follow', 'do not stop when there are no more');
  addFilterOptions(receive);
  addClientOptions(receive).action(receiveMessages);
}

function fromOption(text: string): 'earliest' | 'latest' {
  if (text === 'earliest' || text === 'latest') return text;
  throw new InvalidArgumentError('must be earliest or latest.');
}

async function receiveMessages(topic: string, options: ReceiveOptions): Promise<void> {
  await untilInterrupted((signal) =>
    withClient(options, ({ deliveries }) => receiveAll(deliveries, topic, options, signal)),
  );
}

async function receiveAll(
  deliveries: Deliveries,
  topic: string,
  options: ReceiveOptions,
  signal: AbortSignal,
): Promise<void> {
  const { consumer, follow = false, fifo, from, group, hold = false, lease: leaseMs } = options;
  const maxWaitMs = follow ? FOLLOW_WAIT_MS : 0;
  const filter = filterOf(options);
  const how = { group, topic, fifo, from, consumer, filter, leaseMs, maxWaitMs };
  let left = options.max ?? Number.POSITIVE_INFINITY;
  while (left > 0 && !signal.aborted) {
    const wanted = { ...how, maxMessages: Math.min(left, PER_CALL) };
    const found = await deliveries.receive(wanted, { signal }).catch((error: unknown) => {
      if (signal.aborted) return [];
      throw error;
    });
    if (found.length === 0 && !follow) return;
    await printDeliveries(found, options);
    left -= found.length;
    if (hold || found.length === 0) continue;
    const tokens = found.map(({ token }) => token);
    checkAcked(await deliveries.ack({ group, topic }, tokens));
  }
}

async function printDeliveries(found: readonly Delivery[], options: ClientOptions): Promise<void> {
  const chunks = found.flatMap((delivery) =>
    options.json === true ? jsonLine(deliveryJson(delivery)) : rawLine(delivery),
  );
  if (chunks.length > 0) await print(Buffer.concat(chunks));
}

/** Scripts outside rely on this shape. */
function deliveryJson(delivery: Delivery): object {
  return {
    ...messageJson(delivery),
    attempt: delivery.attempt,
    token: delivery.token,
    lease_until_ms: delivery.leaseUntilMs,
    fencing_token: delivery.fencingToken,
  };
}

function checkAcked(results: readonly SettleResult[]): void {
  const failed = results.filter(({ status }) => status !== 'SETTLED' && status !== 'DECIDED');
  if (failed.length === 0) return;
  const [{ token, status }] = failed as [SettleResult];
  const what = `${failed.length} of ${results.length} printed messages are not acknowledged`;
  throw new Failure(`${what} (${token}: ${status}): they come again`);
}
