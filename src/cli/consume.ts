import { type Command, InvalidArgumentError } from 'commander';
import type { Consumer, Holdfast, Message, StartFrom } from '../client/index.ts';
import { ExitCode, Failure } from '../failure.ts';
import {
  addClientOptions,
  type ClientOptions,
  durationOption,
  print,
  timeFrom,
  untilInterrupted,
  withClient,
} from './client-options.ts';
import { addFilterOptions, type FilterOptions, filterOf } from './filter-options.ts';
import { jsonLine, messageJson, rawLine } from './message-lines.ts';
import { wholeNumber } from './options.ts';

interface ConsumeOptions extends ClientOptions, FilterOptions {
  readonly from: StartFrom;
  readonly queue?: number;
  readonly group?: string;
  readonly max?: number;
  readonly follow?: boolean;
  readonly join?: boolean;
}

/** In follow mode the group's place is committed at least every so many messages. */
const COMMIT_EVERY = 1000;
const FETCH_BYTES = 4 * 1024 * 1024;

export function registerConsume(program: Command): void {
  const consume = program
    .command('consume <TOPIC>')
    .description('print messages, queue by queue up to their ends; with --follow as they come')
    .option(
      '--from <WHERE>',
      'earliest, latest, a time (2026-01-31T12:00Z, 15m ago as 15m, or Unix ms)',
      fromOption,
      'earliest',
    )
    .option('-q, --queue <N>', 'only this queue', wholeNumber(0, 1023))
    .option('-g, --group <NAME>', 'begin where the group stands, and commit what was printed')
    .option('-j, --join', 'as a member of the group, which shares the queues; with --follow')
    .option(
      '-n, --max <N>',
      'stop after this many messages',
      wholeNumber(1, Number.MAX_SAFE_INTEGER),
    )
    .option('-f, --follow', 'do not stop at the end');
  addFilterOptions(consume);
  addClientOptions(consume).action(consumeTopic);
}

function fromOption(text: string): StartFrom {
  if (text === 'earliest' || text === 'latest') return text;
  if (/^\d+(ms|s|m|h|d)$/.test(text)) return new Date(Date.now() - durationOption(text));
  const time = timeFrom(text);
  if (time !== undefined) return time;
  throw new InvalidArgumentError('must be earliest, latest, or a time such as 2026-01-31T12:00Z.');
}

function checkJoin({ follow, group, join, queue }: ConsumeOptions): void {
  if (join !== true) return;
  if (group === undefined) throw new Failure('--join needs --group', ExitCode.usage);
  if (queue !== undefined) {
    throw new Failure('--join and --queue contradict each other', ExitCode.usage);
  }
  if (follow !== true) {
    const why = 'a member reads what it is assigned, as it comes';
    throw new Failure(`--join needs --follow: ${why}`, ExitCode.usage);
  }
}

async function consumeTopic(topic: string, options: ConsumeOptions): Promise<void> {
  checkJoin(options);
  await untilInterrupted((signal) =>
    withClient(options, async (client) => {
      const { from, group, queue } = options;
      const queues = queue === undefined ? undefined : [queue];
      const join = options.join === true ? { clientName: 'holdfast-consume' } : false;
      const filter = filterOf(options);
      const consumer = client.consumer({ topic, from, group, queues, join, filter, signal });
      if (options.follow === true) await follow(consumer, options);
      else await readToEnds(client, consumer, options, signal);
    }),
  );
}

async function follow(consumer: Consumer, options: ConsumeOptions): Promise<void> {
  const { max = Number.POSITIVE_INFINITY, group, join = false } = options;
  let printed = 0;
  let uncommitted = 0;
  for await (const first of consumer) {
    const messages = [first, ...consumer.takeWaiting(Math.min(max - printed, COMMIT_EVERY) - 1)];
    await printMessages(messages, options);
    printed += messages.length;
    uncommitted += messages.length;
    const isTime = join || uncommitted >= COMMIT_EVERY || messages.length === 1;
    if (group !== undefined && isTime) {
      await consumer.commit();
      uncommitted = 0;
    }
    if (printed >= max) break;
  }
  // A member has left by now: what it printed is committed already.
  if (group !== undefined && !join) await consumer.commit();
}

/** The ends are those of the start: what comes meanwhile is for the next run. */
async function readToEnds(
  client: Holdfast,
  consumer: Consumer,
  options: ConsumeOptions,
  signal: AbortSignal,
): Promise<void> {
  const { topic } = consumer;
  const { max = Number.POSITIVE_INFINITY, group } = options;
  const filter = filterOf(options);
  const places = await consumer.locate();
  const { queues, topicId } = places;
  let left = max;
  for (const place of queues) {
    let { offset } = place;
    while (offset < place.endOffset && left > 0 && !signal.aborted) {
      const maxMessages = Math.min(left, place.endOffset - offset, 2 ** 31 - 1);
      const query = {
        topic,
        queue: place.queue,
        offset,
        maxBytes: FETCH_BYTES,
        maxMessages,
        topicId,
        filter,
      };
      const found = await client.fetch(query);
      // Where some are left out it may have gone past the end.
      const messages = found.messages.filter((message) => message.offset < place.endOffset);
      await printMessages(messages, options);
      left -= messages.length;
      offset = Math.min(found.nextOffset, place.endOffset);
    }
    if (group === undefined || offset === place.offset) continue;
    const offsets = [{ queue: place.queue, offset }];
    await client.admin.commitOffsets({ group, topic, topicId, offsets });
  }
}

async function printMessages(messages: readonly Message[], options: ClientOptions): Promise<void> {
  const chunks: Buffer[] = [];
  for (const message of messages) {
    chunks.push(...(options.json === true ? jsonLine(messageJson(message)) : rawLine(message)));
  }
  if (chunks.length > 0) await print(Buffer.concat(chunks));
}
