import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import { encodeCommand } from '../../../src/broker/command-codec.ts';
import { connect, message, refusal, type TestClient } from '../../harness/service-client.ts';
import { FakeCluster } from '../../harness/service-cluster.ts';

let cluster: FakeCluster;
let client: TestClient;
let topic = '';

beforeAll(async () => {
  cluster = new FakeCluster(3, 3);
  await cluster.start();
});
afterAll(() => cluster.stop());
beforeEach(({ task }) => {
  topic = `topic-${task.id}`;
  cluster.heldLogs = [];
  cluster.createTopic(topic, 2);
  client = connect(cluster.node(2).port);
});
afterEach(() => client.close());

interface Described {
  readonly queues: readonly Record<string, unknown>[];
  readonly nodes: readonly Record<string, unknown>[];
  readonly next_page_token: string;
}

const describeRetention = (request: object): Promise<Described> =>
  client.call<Described>('Admin/DescribeRetention', request);

/** Ten batches of one message, an hour between them. */
async function tenHours(): Promise<void> {
  for (let at = 0; at < 10; at += 1) {
    await client.call('Log/Produce', { topic, queue: 1, messages: [message('x')] });
    cluster.timeMs += 3_600_000;
  }
}

test('what is kept, and what would go under other settings; nothing goes', async () => {
  await tenHours();
  const firstAtMs = cluster.timeMs - 36_000_000;
  const { queues } = await describeRetention({ topic });
  expect(queues[0]).toMatchObject({ topic, queue: 0, end_offset: '0', oldest_at_ms: '0' });
  const bytes = Number(queues[1]!.bytes);
  expect(bytes % 10).toBe(0);
  expect(queues[1]).toMatchObject({
    ...{ topic, queue: 1, start_offset: '0', end_offset: '10', new_start_offset: '0' },
    ...{ oldest_at_ms: String(firstAtMs), going_messages: '0', going_bytes: '0' },
  });
  const going = async (settings: object) => {
    const asked = await describeRetention({ topic, ...settings });
    const { going_bytes, going_messages, new_start_offset } = asked.queues[1]!;
    expect(new_start_offset).toBe(going_messages);
    return [Number(going_messages), Number(going_bytes) / (bytes / 10)];
  };
  expect(await going({ retention_ms: 3 * 3_600_000 })).toEqual([7, 7]);
  expect(await going({ retention_ms: 1 })).toEqual([10, 10]);
  expect(await going({ retention_bytes: (bytes * 4) / 10 })).toEqual([6, 6]);
  expect(await going({ retention_ms: 0, retention_bytes: 0 })).toEqual([0, 0]);
  const { queues: after } = await client.call<Described>('Admin/DescribeTopic', { name: topic });
  expect(after[1]).toMatchObject({ start_offset: '0', end_offset: '10' });
});

test('of a compacted topic no such settings take anything', async () => {
  topic = `${topic}-compacted`;
  cluster.createTopic(topic, 2, 1, { minLagMs: 0, tombstoneMs: 0 });
  await client.call('Log/Produce', { topic, queue: 1, messages: [message('x', { key: 'k' })] });
  cluster.timeMs += 3_600_000;
  const { queues } = await describeRetention({ topic, retention_ms: 1, retention_bytes: 1 });
  expect(queues[1]).toMatchObject({ end_offset: '1', going_messages: '0', new_start_offset: '0' });
});

test('what a disk that is nearly full would take', async () => {
  await tenHours();
  const going = async (disk: string) =>
    (await describeRetention({ topic, disk })).queues[1]!.going_messages;
  expect(await going('critical')).toBe('0');
  const config = { disk_policy: 2 };
  await client.call('Admin/UpdateTopic', { name: topic, config });
  expect(await going('high')).toBe('0');
  expect(await going('critical')).toBe('1');
  expect(await going('full')).toBe('1');
});

test('why the logs are so long, by node; topics by their names', async () => {
  const { topicId } = cluster.node(1).meta.topic(topic)!;
  const log = { shard: 2, bytes: 700, startIndex: 4, trimIndex: 5, lastIndex: 9 };
  cluster.heldLogs = [
    {
      ...log,
      holders: [
        { what: 'MESSAGES', index: 6, topicId, queue: 0 },
        { what: 'SLOW_REPLICA', index: 7, node: 3 },
      ],
    },
  ];
  const { nodes } = await describeRetention({ topic });
  expect(nodes.map(({ node }) => node)).toEqual([1, 2, 3]);
  expect(nodes[2]).toMatchObject({
    ...{ bytes: '1000' },
    shards: [
      {
        ...{ shard: 2, bytes: '700', start_index: '4', trim_index: '5', last_index: '9' },
        holders: [
          { what: 'MESSAGES', index: '6', topic, queue: 0, node: 0 },
          { what: 'SLOW_REPLICA', index: '7', topic: '', node: 3 },
        ],
      },
    ],
  });
  const silent = { status: 'timeout' } as const;
  cluster.node(2).peers.fate = (_, { method }) => (method === '.node/log' ? silent : undefined);
  const answering = (await describeRetention({ topic })).nodes;
  cluster.node(2).peers.fate = undefined;
  expect(answering.map(({ node }) => node)).toEqual([2]);
});

test('a queue that is closed meanwhile is left out; damage is told of', async () => {
  const { queueId, shard } = cluster.node(1).meta.topic(topic)!.queues[0]!;
  const closed = encodeCommand({ type: 'closeQueue', queueId });
  cluster.append(shard, closed, new Uint8Array(0));
  const { queues } = await describeRetention({ topic });
  expect(queues.map(({ queue }) => queue)).toEqual([1]);
  const lost = Object.assign(new Error('index of queue 7 lacks 0'), { code: 'DATA_LOSS' });
  cluster.onPlan = () => {
    throw lost;
  };
  const { reason } = await refusal(describeRetention({ topic }));
  cluster.onPlan = () => undefined;
  expect(reason).toBe('DATA_DAMAGED');
});

test('all topics, a page at a time; the nodes with the first', async () => {
  cluster.createTopic(`${topic}-b`, 1);
  const topics = new Set<unknown>();
  let [token, pages, nodes] = ['', 0, 0];
  do {
    const page = await describeRetention({ page_size: 1, page_token: token });
    for (const queue of page.queues) topics.add(queue.topic);
    nodes += page.nodes.length;
    pages += 1;
    token = page.next_page_token;
  } while (token !== '');
  expect([pages, nodes]).toEqual([topics.size, 3]);
  expect([topics.has(topic), topics.has(`${topic}-b`)]).toEqual([true, true]);
});
