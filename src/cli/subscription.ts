/** `holdfast subscription`: groups that consume message by message, and how far they are. */
import type { Command } from 'commander';
import type { DeliverySubscription, SeekSubscription, SubscribedQueue } from '../client/index.ts';
import { ExitCode, Failure } from '../failure.ts';
import {
  addClientOptions,
  type ClientOptions,
  print,
  printJson,
  printTable,
  timeOption,
  withClient,
} from './client-options.ts';
import { wholeNumber } from './options.ts';

interface ListOptions extends ClientOptions {
  readonly group?: string;
}

interface SeekOptions extends ClientOptions {
  readonly earliest?: boolean;
  readonly latest?: boolean;
  readonly time?: Date;
  readonly offset?: number;
  readonly queue?: number;
}

export function registerSubscription(program: Command): void {
  const subscription = program
    .command('subscription')
    .description('list, describe, move, delete subscriptions: groups that use receive');
  const list = subscription.command('list').description('who receives what, over all shards');
  list.option('-g, --group <GROUP>', 'only of this group');
  addClientOptions(list).action(listSubscriptions);
  const named = (name: string, text: string) =>
    addClientOptions(subscription.command(`${name} <GROUP> <TOPIC>`).description(text));
  named('describe', 'its queues: where it stands, what is pending and dead').action(describe);
  named('delete', 'end it: what is pending is forgotten, dead letters are purged').action(remove);
  named('seek', 'move where it goes on; what is pending there is forgotten, dead letters stay')
    .option('--earliest', 'to the oldest messages kept')
    .option('--latest', 'to the ends')
    .option('--time <TIME>', 'to what was stored since 2026-01-31T12:00Z, or Unix ms', timeOption)
    .option('--offset <N>', 'to this one; needs --queue', wholeNumber(0, Number.MAX_SAFE_INTEGER))
    .option('-q, --queue <N>', 'only this queue', wholeNumber(0, 1023))
    .action(seek);
}

async function listSubscriptions(options: ListOptions): Promise<void> {
  await withClient(options, async ({ deliveries }) => {
    const found: DeliverySubscription[] = [];
    for await (const one of deliveries.subscriptions(options.group)) found.push(one);
    if (options.json === true) printJson(found);
    else {
      const rows = found.map(({ group, topic, fifo, filter, lag, pending, leased, dead }) => [
        ...[group, topic, fifo ? 'yes' : 'no', lag, pending, leased, dead],
        filter?.tag ?? filter?.sql ?? '',
      ]);
      const counts = ['LAG', 'PENDING', 'LEASED', 'DEAD'];
      printTable(['GROUP', 'TOPIC', 'FIFO', ...counts, 'FILTER'], rows);
    }
  });
}

async function describe(group: string, topic: string, options: ClientOptions): Promise<void> {
  await withClient(options, async ({ deliveries }) => {
    const { summary, queues } = await deliveries.describe({ group, topic });
    if (options.json === true) printJson({ ...summary, queues: queues.map(queueJson) });
    else {
      const rows = queues.map(({ queue, cursor, endOffset, lag, pending, leased, dead }) => [
        ...[queue, cursor, endOffset, lag, pending, leased, dead],
      ]);
      printTable(['QUEUE', 'NEXT', 'END', 'LAG', 'PENDING', 'LEASED', 'DEAD'], rows);
    }
  });
}

function queueJson(queue: SubscribedQueue): object {
  return {
    queue: queue.queue,
    cursor: queue.cursor,
    start_offset: queue.startOffset,
    end_offset: queue.endOffset,
    lag: queue.lag,
    pending: queue.pending,
    leased: queue.leased,
    dead: queue.dead,
    dead_refused: queue.deadRefused,
  };
}

async function remove(group: string, topic: string, options: ClientOptions): Promise<void> {
  await withClient(options, async ({ deliveries }) => {
    await deliveries.unsubscribe({ group, topic });
    if (options.json === true) printJson({ group, topic, deleted: true });
    else void print(`group ${group} is not subscribed to ${topic} any more\n`);
  });
}

async function seek(group: string, topic: string, options: SeekOptions): Promise<void> {
  const queues = options.queue === undefined ? [] : [options.queue];
  const to = target(options);
  await withClient(options, async ({ deliveries }) => {
    const found = await deliveries.seek({ group, topic, queues, to });
    if (options.json === true) printJson(found);
    else
      printTable(
        ['QUEUE', 'NEXT'],
        found.map(({ queue, cursor }) => [queue, cursor]),
      );
  });
}

function target({ earliest, latest, time, offset, queue }: SeekOptions): SeekSubscription['to'] {
  const given: SeekSubscription['to'][] = [];
  if (earliest === true) given.push('earliest');
  if (latest === true) given.push('latest');
  if (time !== undefined) given.push(time);
  if (offset !== undefined) given.push(offset);
  if (given.length !== 1) {
    const choices = '--earliest, --latest, --time or --offset';
    throw new Failure(`say where to: one of ${choices}`, ExitCode.usage);
  }
  if (offset === undefined || queue !== undefined) return given[0]!;
  throw new Failure('--offset needs --queue: each queue has offsets of its own', ExitCode.usage);
}
