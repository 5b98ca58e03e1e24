/** What the service counts, over real gRPC: exactly what was done, on the node that did it. */
import { Registry } from 'prom-client';
import { afterAll, beforeAll, beforeEach, expect, it } from 'vitest';
import { createMeters } from '../../../src/observe/meters.ts';
import { Scraped } from '../../harness/metric-pages.ts';
import { connect, message, refusal, type TestClient, until } from '../../harness/service-client.ts';
import { FakeCluster } from '../../harness/service-cluster.ts';

const NODES = [1, 2, 3];
const BODY = 'canary-body';

let cluster: FakeCluster;
let client: TestClient;
let topic = '';
const registries = new Map<number, Registry>();
const before = new Map<number, Scraped>();

beforeAll(async () => {
  cluster = new FakeCluster(3, 3);
  cluster.metersOf = (node) => {
    const registry = new Registry();
    registries.set(node, registry);
    return createMeters(registry);
  };
  await cluster.start();
  client = connect(cluster.node(1).port);
});
afterAll(async () => {
  client.close();
  await cluster.stop();
});
beforeEach(async ({ task }) => {
  topic = `canary-${task.id}`;
  cluster.createTopic(topic, 3);
  for (const node of NODES) before.set(node, await scrape(node));
});

const scrape = async (node: number) => new Scraped(await registries.get(node)!.metrics());

/** By how much it grew, node by node. */
async function grown(name: string, labels: Record<string, string> = {}): Promise<number[]> {
  const after = await Promise.all(NODES.map(scrape));
  return NODES.map(
    (node, at) => after[at]!.sum(name, labels) - before.get(node)!.sum(name, labels),
  );
}

const produce = (fields: object = {}) =>
  client.call('Log/Produce', { topic, queue: 0, messages: [message(BODY)], ...fields });
const total = (counts: readonly number[]): number => counts.reduce((sum, one) => sum + one, 0);

it('calls where they were asked, messages where they were stored', async () => {
  for (const queue of [0, 1, 2, 0])
    await produce({ queue, messages: [message('a'), message('b')] });
  const ok = { method: 'Log/Produce', outcome: 'ok' };
  expect(await grown('holdfast_calls_total', ok)).toEqual([4, 0, 0]);
  expect(await grown('holdfast_call_duration_seconds_count')).toEqual([4, 0, 0]);
  const stored = await grown('holdfast_stored_messages_total');
  const { queues } = cluster.node(1).meta.topic(topic)!;
  const leaders = [0, 1, 2, 0].map((queue) => cluster.leaders.get(queues[queue]!.shard)!);
  expect(stored).toEqual(NODES.map((node) => 2 * leaders.filter((one) => one === node).length));
  expect(total(stored)).toBe(8);
});

it('at every durability; a repetition is a call, and no new message', async () => {
  for (const durability of [1, 2, 3, 4]) await produce({ durability });
  await until(() => cluster.proposals >= 4);
  const request = { producer_id: 'canary-producer', sequence: 0 };
  await produce(request);
  await produce(request);
  expect(total(await grown('holdfast_stored_messages_total'))).toBe(5);
  expect(total(await grown('holdfast_calls_total'))).toBe(6);
});

it('refusals by their reason', async () => {
  await refusal(produce({ topic: 'canary-nowhere' }));
  await refusal(produce({ messages: [] }));
  const grownTo = (outcome: string) => grown('holdfast_calls_total', { outcome });
  expect(await grownTo('TOPIC_NOT_FOUND')).toEqual([1, 0, 0]);
  expect(await grownTo('EMPTY_BATCH')).toEqual([1, 0, 0]);
  expect(await grownTo('ok')).toEqual([0, 0, 0]);
  expect(total(await grown('holdfast_stored_messages_total'))).toBe(0);
});

it('requests on a ProduceStream one by one', async () => {
  const stream = client.stream<object, object>('Log/ProduceStream');
  let answers = 0;
  stream.on('data', () => {
    answers += 1;
  });
  for (const id of [1, 2, 3]) {
    const messages = id === 3 ? [] : [message(BODY)];
    stream.write({ request_id: id, request: { topic, queue: 0, messages } });
  }
  await until(() => answers === 3);
  stream.end();
  const counted = (outcome: string) =>
    grown('holdfast_calls_total', { method: 'Log/ProduceStream', outcome });
  expect([await counted('ok'), await counted('EMPTY_BATCH')]).toEqual([
    [2, 0, 0],
    [1, 0, 0],
  ]);
  expect(total(await grown('holdfast_stored_messages_total'))).toBe(2);
});

it('what was read, and what was pushed', async () => {
  await produce({ messages: [message('a'), message('b'), message('c')] });
  await client.call('Log/Fetch', { topic, queue: 0, offset: 1 });
  expect(total(await grown('holdfast_fetched_messages_total'))).toBe(2);
  expect(total(await grown('holdfast_fetched_bytes_total'))).toBeGreaterThan(5);
  const stream = client.stream<object, { batches: { count: number }[] }>('Log/Subscribe');
  let pushed = 0;
  stream.on('error', () => undefined);
  stream.on('data', ({ batches }) => {
    for (const { count } of batches) pushed += count;
  });
  stream.write({ start: { topic, queues: [{ queue: 0, offset: 0 }], credit: 10 } });
  await until(() => pushed === 3);
  stream.cancel();
  expect(await grown('holdfast_pushed_messages_total')).toEqual([3, 0, 0]);
  expect(total(await grown('holdfast_fetched_messages_total'))).toBe(5);
});

it('check-backs that reached a producer', async () => {
  const part = { topic, queue: 0, messages: [message(BODY)] };
  await client.call('Transactions/Prepare', { producer_group: 'canary-group', parts: [part] });
  cluster.timeMs += 60_000;
  await client.call('Transactions/PollChecks', { producer_group: 'canary-group' });
  expect(await grown('holdfast_checks_delivered_total')).toEqual([1, 0, 0]);
  expect(total(await grown('holdfast_stored_messages_total'))).toBe(0);
});

it('nothing of topics, groups, producers or messages', async () => {
  await produce({ messages: [message(BODY, { key: 'canary-key', tag: 'canary-tag' })] });
  for (const node of NODES) expect((await scrape(node)).text).not.toContain('canary');
});
