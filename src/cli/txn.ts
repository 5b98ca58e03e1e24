/** `holdfast txn`: half messages without an outcome, for operators. */
import { type Command, InvalidArgumentError } from 'commander';
import type { EndResult, OpenTransaction } from '../client/index.ts';
import {
  addClientOptions,
  type ClientOptions,
  print,
  printJson,
  printTable,
  withClient,
} from './client-options.ts';

interface ListOptions extends ClientOptions {
  readonly state?: 'undecided' | 'parked';
  readonly group?: string;
  readonly topic?: string;
}

export function registerTxn(program: Command): void {
  const txn = program
    .command('txn')
    .description('list, resume, commit, roll back half messages that nobody decided');
  const list = txn.command('list').description('transactions without an outcome');
  list.option('--state <STATE>', 'only those that are undecided, or parked', stateOption);
  list.option('--group <GROUP>', 'only those of this producer group');
  list.option('--topic <TOPIC>', 'only those for this topic');
  addClientOptions(list).action(listTransactions);
  const named = (name: string, text: string) =>
    addClientOptions(txn.command(`${name} <TRANSACTION_ID>`).description(text));
  named('resume', 'ask the producer group again, from the first check on').action(resume);
  named('commit', 'make the messages visible, for good').action(commit);
  named('rollback', 'drop the messages, for good').action(rollback);
}

function stateOption(text: string): string {
  if (text === 'undecided' || text === 'parked') return text;
  throw new InvalidArgumentError('must be undecided or parked.');
}

async function listTransactions(options: ListOptions): Promise<void> {
  await withClient(options, async ({ openTransactions }) => {
    const { state, group: producerGroup, topic } = options;
    const found: OpenTransaction[] = [];
    for await (const one of openTransactions.list({ state, producerGroup, topic })) {
      found.push(one);
    }
    if (options.json === true) printJson(found.map(transactionJson));
    else printTable(['TRANSACTION', 'STATE', 'GROUP', 'AGE', 'CHECKS', 'MESSAGES'], rows(found));
  });
}

function rows(found: readonly OpenTransaction[]): (readonly unknown[])[] {
  return found.map((one) => [
    one.transactionId,
    one.state,
    one.producerGroup,
    ageText(one.ageMs),
    `${one.checkCount} of ${one.maxChecks}`,
    one.parts.map(({ topic, queue, count }) => `${count} to ${topic}/${queue}`).join(', '),
  ]);
}

/** Two units at most: `3d 4h`, `12m 5s`, `800ms`. */
export function ageText(ageMs: number): string {
  if (ageMs < 1000) return `${ageMs}ms`;
  const seconds = Math.floor(ageMs / 1000);
  const units = [
    [Math.floor(seconds / 86_400), 'd'],
    [Math.floor(seconds / 3600) % 24, 'h'],
    [Math.floor(seconds / 60) % 60, 'm'],
    [seconds % 60, 's'],
  ] as const;
  const first = units.findIndex(([value]) => value > 0);
  const shown = units.slice(first, first + 2).filter(([value]) => value > 0);
  return shown.map(([value, unit]) => `${value}${unit}`).join(' ');
}

function transactionJson(one: OpenTransaction): object {
  return {
    transaction_id: one.transactionId,
    caller_transaction_id: one.callerTransactionId,
    producer_group: one.producerGroup,
    state: one.state,
    prepared_at_ms: one.preparedAtMs,
    age_ms: one.ageMs,
    check_count: one.checkCount,
    max_checks: one.maxChecks,
    next_check_at_ms: one.nextCheckAtMs,
    parts: one.parts.map(({ topic, queue, count, firstMessageId }) => ({
      ...{ topic, queue, count, first_message_id: firstMessageId },
    })),
  };
}

async function resume(id: string, options: ClientOptions): Promise<void> {
  await withClient(options, async ({ openTransactions }) => {
    await openTransactions.resume(id);
    if (options.json === true) printJson({ transaction_id: id, resumed: true });
    else void print(`${id}: its producer group is asked again\n`);
  });
}

async function commit(id: string, options: ClientOptions): Promise<void> {
  await withClient(options, async ({ openTransactions }) =>
    printEnd(id, await openTransactions.commit(id), options),
  );
}

async function rollback(id: string, options: ClientOptions): Promise<void> {
  await withClient(options, async ({ openTransactions }) =>
    printEnd(id, await openTransactions.rollback(id), options),
  );
}

function printEnd(id: string, { state, parts }: EndResult, options: ClientOptions): void {
  if (options.json === true) {
    const shown = parts.map(({ topic, queue, baseOffset, count }) => ({
      ...{ topic, queue, base_offset: baseOffset, count },
    }));
    printJson({ transaction_id: id, state, parts: shown });
    return;
  }
  const where = parts.map(
    ({ queue, baseOffset, count }) => `, ${count} from offset ${baseOffset} of queue ${queue}`,
  );
  void print(`${id}: ${state === 'committed' ? 'committed' : 'rolled back'}${where.join('')}\n`);
}
