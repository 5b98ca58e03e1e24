/** All clients of a run together, each with connections of its own. */
import { setTimeout as delay } from 'node:timers/promises';
import { nowMs } from '../history.ts';
import { CheckBacks } from './check-backs.ts';
import { Client } from './client.ts';
import { readCommitted } from './committed.ts';
import { Consumer, groupOf } from './consumer.ts';
import { DelayedProducer } from './delayed-producer.ts';
import { Descriptions } from './descriptions.ts';
import { GroupMember, MEMBER_GROUP } from './group-members.ts';
import { HalfMessageProducer } from './half-messages.ts';
import { KeyedProducer } from './keyed-producer.ts';
import { type Load, TOPIC } from './load.ts';
import type { Response } from './methods.ts';
import { OffsetLists } from './offset-lists.ts';
import { OffsetResets, RESET_GROUP } from './offset-resets.ts';
import { PlainProducer } from './plain-producer.ts';
import { Producer } from './producer.ts';
import { StreamProducer } from './stream-producer.ts';
import { Subscriber } from './subscriber.ts';
import { ShortLivedTopic } from './topics.ts';

/** Their sends meet in one queue, and a slow disk still acknowledges enough. */
const PRODUCERS_PER_QUEUE = 2;
const PLAIN_PRODUCERS = 2;
const STREAM_PRODUCERS = 2;
const DELAYED_PRODUCERS = 2;
const HALF_MESSAGE_PRODUCERS = 2;
const KEYED_PRODUCERS = 2;
const GROUP_MEMBERS = 3;
/** Of one short-lived topic; the other one keeps everything. */
const RETENTION_MS = 3000;
const OBSERVER_PACE_MS = 100;
const TOPIC_PACE_MS = 100;

/** Resolves with the shard of each queue; undefined when they did not open in time. */
export async function createTopic(
  load: Load,
  timeoutMs: number,
): Promise<readonly number[] | undefined> {
  const client = new Client(load.addresses, 0, load.giveUp);
  const giveUpAtMs = nowMs() + timeoutMs;
  const config = { durability: load.level.toUpperCase() };
  const request = { name: TOPIC, queue_count: load.queues, config };
  let shards: readonly number[] | undefined;
  let text = '';
  while (shards === undefined && nowMs() < giveUpAtMs && load.running) {
    // An attempt that ran out of time leaves a topic whose queues are still being opened.
    const created = await client.attempt('Admin.CreateTopic', request);
    if (created.outcome !== 'ok') ({ text } = created);
    const described = await client.attempt('Admin.DescribeTopic', { name: TOPIC });
    if (described.outcome === 'ok') shards = shardsOf(described.value, load.queues);
    else await client.pauseAfter(described);
    if (shards === undefined) await load.pace(TOPIC_PACE_MS);
  }
  client.close();
  if (shards === undefined) load.trouble('topic', `its queues do not open: ${text}`);
  return shards;
}

function shardsOf(
  { queues }: Response<'Admin.DescribeTopic'>,
  count: number,
): readonly number[] | undefined {
  if (queues.length !== count) return undefined;
  return [...queues].sort((a, b) => a.queue - b.queue).map(({ shard }) => shard);
}

/** Resolves when the load was stopped and every open outcome is settled. */
export async function runWorkload(load: Load): Promise<void> {
  const queues = Array.from({ length: load.queues }, (_, queue) => queue);
  const nodes = load.addresses.map((_, i) => i + 1);
  const several = (count: number) => Array.from({ length: count }, (_, i) => i);
  const halves = several(HALF_MESSAGE_PRODUCERS).map((i) => new HalfMessageProducer(load, i));
  const clients: readonly { run(): Promise<void> }[] = [
    ...queues.flatMap((queue) =>
      several(PRODUCERS_PER_QUEUE).map((i) => new Producer(load, queue, i)),
    ),
    ...several(PLAIN_PRODUCERS).map((i) => new PlainProducer(load, i)),
    ...several(STREAM_PRODUCERS).map((i) => new StreamProducer(load, i)),
    ...several(DELAYED_PRODUCERS).map((i) => new DelayedProducer(load, i)),
    ...several(KEYED_PRODUCERS).map((i) => new KeyedProducer(load, i)),
    ...several(GROUP_MEMBERS).map((i) => new GroupMember(load, i)),
    ...halves,
    ...halves.map(({ group }, i) => new CheckBacks(load, group, i)),
    ...nodes.flatMap((node) => queues.map((queue) => new Consumer(load, node, queue))),
    new Subscriber(load),
    new OffsetResets(load),
    new OffsetLists(load),
    new Descriptions(load),
    new ShortLivedTopic(load, 0),
    new ShortLivedTopic(load, 1, RETENTION_MS),
  ];
  await Promise.all([...clients.map((client) => client.run()), observeCommitted(load)]);
}

/** All groups that commit. */
export function groupsOf(load: Load): readonly string[] {
  return [...load.addresses.map((_, i) => groupOf(i + 1)), RESET_GROUP, MEMBER_GROUP];
}

/** Reads every group's committed offsets, through each node in turn. */
async function observeCommitted(load: Load): Promise<void> {
  const client = new Client(load.addresses, 0, load.giveUp);
  while (load.running) {
    for (const group of groupsOf(load)) await readCommitted(load, client, 'observer', group);
    client.useNext();
    await load.pace(OBSERVER_PACE_MS);
  }
  client.close();
}

/** `settled` false: the time ran out and the clients were told to give up. */
export async function settleWorkload(
  load: Load,
  clients: Promise<void>,
  timeoutMs: number,
): Promise<boolean> {
  load.stop();
  const timer = new AbortController();
  const expired = delay(timeoutMs, false, { signal: timer.signal }).catch(() => true);
  const settled = await Promise.race([clients.then(() => true), expired]);
  timer.abort();
  if (!settled) load.abandon();
  await clients;
  return settled;
}
