/** All clients of a run together, each with connections of its own. */
import { setTimeout as delay } from 'node:timers/promises';
import { nowMs } from '../history.ts';
import { CheckBacks } from './check-backs.ts';
import { Client } from './client.ts';
import { type Reading, readCommitted } from './committed.ts';
import { Consumer, groupOf } from './consumer.ts';
import { DelayedProducer } from './delayed-producer.ts';
import { Descriptions } from './descriptions.ts';
import { GroupMember, MEMBER_GROUP } from './group-members.ts';
import { HalfMessageProducer } from './half-messages.ts';
import { KeyedProducer } from './keyed-producer.ts';
import { WORK_GROUPS } from './leases.ts';
import { type Load, TOPIC } from './load.ts';
import type { Request, Response } from './methods.ts';
import { OffsetLists } from './offset-lists.ts';
import { OffsetResets, RESET_GROUP } from './offset-resets.ts';
import { PlainProducer } from './plain-producer.ts';
import { PROCESSOR_GROUP, PROCESSORS, Processor } from './processor.ts';
import { Producer } from './producer.ts';
import { Receiver } from './receiver.ts';
import { StreamProducer } from './stream-producer.ts';
import { Subscriber } from './subscriber.ts';
import { ShortLivedTopic } from './topics.ts';
import { TransactionOperator } from './transaction-operator.ts';
import { WorkProducer } from './work-producer.ts';
import { WORK_QUEUES, WORK_TOPIC } from './work-topic.ts';

/** Their sends meet in one queue, and a slow disk still acknowledges enough. */
const PRODUCERS_PER_QUEUE = 2;
const PLAIN_PRODUCERS = 2;
const STREAM_PRODUCERS = 2;
const DELAYED_PRODUCERS = 2;
/** Of each kind that has to do with transactions. */
const MIXED = { groups: 2, halves: 2, processors: 2, workProducers: 1 };
const MOSTLY_TRANSACTIONS = { groups: 4, halves: 24, processors: 4, workProducers: 1 };
const KEYED_PRODUCERS = 2;
const GROUP_MEMBERS = 3;
/** Of each group that takes work message by message. */
const RECEIVERS = 2;
/** Of one short-lived topic; the other one keeps everything. */
const RETENTION_MS = 3000;
const OBSERVER_PACE_MS = 100;
const TOPIC_PACE_MS = 100;

/**
 * Resolves with the shard of each queue of the topic of the run; undefined when they, or those of
 * the topic of work, did not open in time.
 */
export async function createTopics(
  load: Load,
  timeoutMs: number,
): Promise<readonly number[] | undefined> {
  const config = { durability: load.level.toUpperCase() };
  const own = { name: TOPIC, queue_count: load.queues, config };
  const topic = await createTopic(load, own, timeoutMs);
  const work = await createTopic(load, { name: WORK_TOPIC, queue_count: WORK_QUEUES }, timeoutMs);
  if (topic === undefined || work === undefined) return undefined;
  load.work = { name: WORK_TOPIC, id: work.topic.topic_id };
  return [...topic.queues].sort((a, b) => a.queue - b.queue).map(({ shard }) => shard);
}

async function createTopic(
  load: Load,
  request: Request<'Admin.CreateTopic'>,
  timeoutMs: number,
): Promise<Response<'Admin.DescribeTopic'> | undefined> {
  const { name, queue_count: count } = request;
  const client = new Client(load.addresses, 0, load.giveUp);
  const giveUpAtMs = nowMs() + timeoutMs;
  let topic: Response<'Admin.DescribeTopic'> | undefined;
  let text = '';
  while (topic === undefined && nowMs() < giveUpAtMs && load.running) {
    // An attempt that ran out of time leaves a topic whose queues are still being opened.
    const created = await client.attempt('Admin.CreateTopic', request);
    if (created.outcome !== 'ok') ({ text } = created);
    const described = await client.attempt('Admin.DescribeTopic', { name });
    if (described.outcome !== 'ok') await client.pauseAfter(described);
    else if (described.value.queues.length === count) topic = described.value;
    if (topic === undefined) await load.pace(TOPIC_PACE_MS);
  }
  client.close();
  if (topic === undefined) load.trouble('topic', `the queues of ${name} do not open: ${text}`);
  return topic;
}

/** What a load is made of. */
export const WORKLOADS = ['mixed', 'transactions'] as const;
export type Workload = (typeof WORKLOADS)[number];

interface Running {
  run(): Promise<void>;
}

/** Resolves when the load was stopped and every open outcome is settled. */
export async function runWorkload(load: Load, workload: Workload): Promise<void> {
  const clients = [
    ...transactionClients(load, countsOf(workload)),
    ...readers(load),
    ...(workload === 'mixed' ? otherClients(load) : []),
  ];
  await Promise.all([...clients.map((client) => client.run()), observeCommitted(load)]);
}

/** Of producers: all that prepare transactions, and are asked what became of them. */
export function producerGroups(workload: Workload): readonly string[] {
  return askedGroups(countsOf(workload).groups);
}

function countsOf(workload: Workload): typeof MIXED {
  return workload === 'mixed' ? MIXED : MOSTLY_TRANSACTIONS;
}

function askedGroups(count: number): string[] {
  return [...several(count).map((i) => `halves-of-${i}`), PROCESSORS];
}

function transactionClients(
  load: Load,
  { groups, halves, processors, workProducers }: typeof MIXED,
): Running[] {
  const asked = askedGroups(groups);
  return [
    ...several(halves).map((i) => new HalfMessageProducer(load, i, asked[i % groups]!)),
    ...several(processors).map((i) => new Processor(load, i)),
    ...asked.map((group, i) => new CheckBacks(load, group, i)),
    ...several(workProducers).map((i) => new WorkProducer(load, i)),
    new TransactionOperator(load),
  ];
}

function readers(load: Load): Running[] {
  const queues = several(load.queues);
  const nodes = load.addresses.map((_, i) => i + 1);
  return [
    ...nodes.flatMap((node) => queues.map((queue) => new Consumer(load, node, queue))),
    new Subscriber(load),
  ];
}

function otherClients(load: Load): Running[] {
  return [
    ...several(load.queues).flatMap((queue) =>
      several(PRODUCERS_PER_QUEUE).map((i) => new Producer(load, queue, i)),
    ),
    ...several(PLAIN_PRODUCERS).map((i) => new PlainProducer(load, i)),
    ...several(STREAM_PRODUCERS).map((i) => new StreamProducer(load, i)),
    ...several(DELAYED_PRODUCERS).map((i) => new DelayedProducer(load, i)),
    ...several(KEYED_PRODUCERS).map((i) => new KeyedProducer(load, i)),
    ...several(GROUP_MEMBERS).map((i) => new GroupMember(load, i)),
    ...WORK_GROUPS.flatMap((of) => several(RECEIVERS).map((i) => new Receiver(load, of, i))),
    new OffsetResets(load),
    new OffsetLists(load),
    new Descriptions(load),
    new ShortLivedTopic(load, 0),
    new ShortLivedTopic(load, 1, RETENTION_MS),
  ];
}

function several(count: number): number[] {
  return Array.from({ length: count }, (_, i) => i);
}

/** All groups that commit, and what of. */
export function readingsOf(load: Load): readonly Reading[] {
  const groups = [...load.addresses.map((_, i) => groupOf(i + 1)), RESET_GROUP, MEMBER_GROUP];
  const work = { ...load.work, queues: WORK_QUEUES };
  return [...groups.map((group) => ({ group })), { group: PROCESSOR_GROUP, topic: work }];
}

/** Reads every group's committed offsets, through each node in turn. */
async function observeCommitted(load: Load): Promise<void> {
  const client = new Client(load.addresses, 0, load.giveUp);
  while (load.running) {
    for (const reading of readingsOf(load)) {
      await readCommitted(load, client, 'observer', reading);
    }
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
