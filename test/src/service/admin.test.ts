import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { connect, message, refusal, type TestClient } from '../../harness/service-client.ts';
import { FakeCluster } from '../../harness/service-cluster.ts';

let cluster: FakeCluster;
let client: TestClient;
let name = '';
let reconcile = true;

beforeAll(async () => {
  cluster = new FakeCluster(3, 3);
  await cluster.start();
  // The reconciler's work, a turn of the loop after each change of the metadata.
  cluster.node(1).host.onApplied((shard) => {
    if (shard === 0 && reconcile) setImmediate(() => cluster.reconcile());
  });
});
afterAll(() => cluster.stop());
beforeEach(({ task }) => {
  name = `topic-${task.id}`;
  reconcile = true;
  client = connect(cluster.node(3).port);
});
afterEach(() => client.close());

interface Topic {
  readonly topic: {
    readonly topic_id: string;
    readonly queue_count: number;
    readonly queue_epoch: string;
    readonly config: { readonly retention_ms: string; readonly durability: number };
  };
}

const admin = <Answer = Topic>(method: string, request: object = {}): Promise<Answer> =>
  client.call<Answer>(`Admin/${method}`, request);

describe('topics', () => {
  test('create answers when every queue is open, with the defaults', async () => {
    const { topic } = await admin('CreateTopic', { name });
    expect(topic).toMatchObject({
      ...{ name, queue_count: 3 },
      config: { retention_ms: '259200000', retention_bytes: '0', durability: 1 },
    });
    const produced = await client.call('Log/Produce', { topic: name, messages: [message('x')] });
    expect(produced).toMatchObject({ count: 1 });
    expect(await admin('DescribeTopic', { name })).toMatchObject({
      topic: { topic_id: topic.topic_id },
      queues: [{ queue: 0 }, { queue: 1 }, { queue: 2 }],
    });
  });

  test('update changes what is set; queues only grow, and the epoch with them', async () => {
    const before = await admin('CreateTopic', {
      name,
      queue_count: 2,
      config: { retention_ms: 5 },
    });
    const after = await admin('UpdateTopic', { name, queue_count: 4, config: { durability: 2 } });
    expect(after.topic).toMatchObject({
      queue_count: 4,
      config: { retention_ms: '5', durability: 2 },
    });
    expect(after.topic.queue_epoch).not.toBe(before.topic.queue_epoch);
    const fewer = admin('UpdateTopic', { name, queue_count: 1 });
    expect((await refusal(fewer)).reason).toBe('QUEUES_ONLY_GROW');
    const stale = client.call('Log/Produce', {
      ...{ topic: name, queue: 0, queue_epoch: before.topic.queue_epoch },
      messages: [message('x')],
    });
    expect((await refusal(stale)).reason).toBe('QUEUES_CHANGED');
  });

  test('a deleted and re-created name starts clean', async () => {
    const first = await admin('CreateTopic', { name });
    await client.call('Log/Produce', { topic: name, queue: 0, messages: [message('old')] });
    await admin('DeleteTopic', { name });
    expect((await refusal(admin('DescribeTopic', { name }))).reason).toBe('TOPIC_NOT_FOUND');
    await admin('CreateTopic', { name });
    const stale = client.call('Log/Fetch', { topic: name, topic_id: first.topic.topic_id });
    expect((await refusal(stale)).reason).toBe('TOPIC_RECREATED');
    expect(await client.call('Log/Fetch', { topic: name })).toMatchObject({ end_offset: '0' });
  });

  test('pages of names go through all of them once', async () => {
    for (let i = 0; i < 5; i += 1) await admin('CreateTopic', { name: `${name}-${i}` });
    const names: string[] = [];
    let token = '';
    do {
      const page = await admin<{ topics: { name: string }[]; next_page_token: string }>(
        'ListTopics',
        { page_size: 2, page_token: token },
      );
      expect(page.topics.length).toBeLessThanOrEqual(2);
      names.push(...page.topics.map((topic) => topic.name));
      token = page.next_page_token;
    } while (token !== '');
    expect(names).toEqual([...new Set(names)].sort());
    expect(names.filter((one) => one.startsWith(`${name}-`))).toHaveLength(5);
  });

  test.each([
    ['INVALID_NAME', 'CreateTopic', { name: 'a/b' }],
    ['INVALID_NAME', 'CreateTopic', { name: '' }],
    ['NUMBER_OUT_OF_RANGE', 'CreateTopic', { name: 'ok', queue_count: 1025 }],
    ['NUMBER_OUT_OF_RANGE', 'CreateTopic', { name: 'ok', queue_count: -1 }],
    ['NUMBER_OUT_OF_RANGE', 'CreateTopic', { name: 'ok', config: { retention_ms: -1 } }],
    ['INVALID_REQUEST', 'CreateTopic', { name: 'ok', config: { durability: 7 } }],
    ['TOPIC_NOT_FOUND', 'UpdateTopic', { name: 'nowhere' }],
    ['TOPIC_NOT_FOUND', 'DeleteTopic', { name: 'nowhere' }],
    ['NUMBER_OUT_OF_RANGE', 'ListTopics', { page_size: -1 }],
  ])('%s: %s %j', async (reason, method, request) => {
    expect((await refusal(admin(method, request))).reason).toBe(reason);
  });

  test('the same name twice', async () => {
    await admin('CreateTopic', { name });
    expect((await refusal(admin('CreateTopic', { name }))).reason).toBe('TOPIC_EXISTS');
  });
});

describe('cluster', () => {
  test('nodes and shards, each as its leader sees it', async () => {
    const status = await admin<Record<string, unknown[]>>('DescribeCluster');
    expect(status).toMatchObject({ cluster_id: 'test', node: 3 });
    expect(status.nodes).toMatchObject([1, 2, 3].map((id) => ({ id, up: true, pid: process.pid })));
    expect(status.shards).toHaveLength(4);
    expect(status.shards).toMatchObject([0, 1, 2, 3].map((id) => ({ id, leader: (id % 3) + 1 })));
  });

  test('a node that does not answer is shown as what it is', async () => {
    cluster.node(3).peers.down.add(2);
    const status = await admin<{ nodes: { id: number; up: boolean; pid: number }[] }>(
      'DescribeCluster',
    );
    expect(status.nodes[1]).toMatchObject({ id: 2, up: false, pid: 0 });
    cluster.node(3).peers.down.clear();
  });

  test('limits have names, units and a meaning', async () => {
    const { limits } = await admin<{ limits: { name: string; value: string }[] }>('DescribeLimits');
    expect(limits.find((limit) => limit.name === 'maxMessageBytes')!.value).toBe('4000000');
    expect(limits.find(({ name }) => name === 'maxCompactedMessages')!.value).toBe('1024');
    expect(limits.length).toBeGreaterThan(20);
  });
});
