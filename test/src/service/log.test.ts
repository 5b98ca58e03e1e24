import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import {
  type Ack,
  connect,
  type Fetched,
  message,
  refusal,
  type TestClient,
  until,
} from '../../harness/service-client.ts';
import { FakeCluster } from '../../harness/service-cluster.ts';

let cluster: FakeCluster;
let client: TestClient;

let topic = '';

beforeAll(async () => {
  cluster = new FakeCluster(3, 3);
  await cluster.start();
  client = connect(cluster.node(1).port);
});

beforeEach(({ task }) => {
  topic = `topic-${task.id}`;
  cluster.createTopic(topic, 3);
});

afterAll(async () => {
  client.close();
  await cluster.stop();
});

const produce = (fields: object): Promise<Ack> =>
  client.call<Ack>('Log/Produce', { topic, messages: [message('hello')], ...fields });

const fetch = (fields: object): Promise<Fetched> =>
  client.call<Fetched>('Log/Fetch', { topic, queue: 0, offset: 0, ...fields });

describe('produce', () => {
  test('the same call works through every node, local or forwarded', async () => {
    for (const queue of [0, 1, 2]) {
      const ack = await produce({ queue, messages: [message('a'), message('b')] });
      expect(ack).toMatchObject({ base_offset: '0', count: 2, queue, durability: 1, replicas: 2 });
      expect(ack.first_message_id).toMatch(/^[1-3]-[0-9]+-0$/);
      const fetched = await fetch({ queue });
      expect(fetched.batches[0]!.messages.map((one) => one.body.toString())).toEqual(['a', 'b']);
      expect(fetched.batches[0]!.first_message_id).toBe(ack.first_message_id);
    }
    expect(cluster.node(1).peers.sent.length).toBeGreaterThan(0);
  });

  test('without queue or key, requests go round; a key stays on one queue', async () => {
    const queues = new Set<number>();
    for (let i = 0; i < 3; i += 1) queues.add((await produce({})).queue);
    expect([...queues].sort()).toEqual([0, 1, 2]);
    const first = await produce({ ordering_keys: ['customer-7'] });
    const second = await produce({ ordering_keys: ['customer-7'] });
    expect(second.queue).toBe(first.queue);
  });

  test('each durability level says what it reached', async () => {
    for (const durability of [1, 2, 3]) {
      const ack = await produce({ queue: 0, durability });
      expect(ack.durability).toBe(durability);
      expect(ack.base_offset !== undefined).toBe(durability === 1);
      expect(Number(ack.log_index)).toBeGreaterThan(0);
    }
    const oneWay = await produce({ queue: 0, durability: 4 });
    expect(oneWay).toMatchObject({ durability: 4, log_index: '0', first_message_id: '' });
  });

  test('a weaker ack says nothing that apply may take back', async () => {
    const send = (sequence: number) =>
      produce({ queue: 0, durability: 2, producer_id: 'weak', sequence });
    const acked = [(await send(1)).durability, (await send(3)).durability];
    expect(acked, 'the first one waits until it is applied').toEqual([1, 2]);
    expect((await refusal(send(2))).reason).toBe('SEQUENCE_TOO_OLD');
    expect((await send(4)).durability).toBe(2);
    const fetched = await fetch({ queue: 0, linearizable: true });
    expect(fetched.batches.flatMap(({ messages }) => messages)).toHaveLength(3);
  });

  test('a repeated sequence gets the first answer, through another node', async () => {
    const request = { queue: 1, producer_id: 'p', sequence: 0 };
    const first = await produce(request);
    const other = connect(cluster.node(3).port);
    const again = await other.call<Ack>('Log/Produce', {
      topic,
      messages: [message('hello')],
      ...request,
    });
    other.close();
    expect(again).toMatchObject({ base_offset: first.base_offset, duplicate: true });
    expect(again.first_message_id).toBe(first.first_message_id);
  });

  test.each([
    ['EMPTY_BATCH', { messages: [] }],
    ['TOPIC_NOT_FOUND', { topic: 'nowhere' }],
    ['INVALID_NAME', { topic: 'a/b' }],
    ['INVALID_NAME', { topic: '..' }],
    ['INVALID_NAME', { topic: 'x'.repeat(128) }],
    ['INVALID_NAME', { topic: 'a\u0001' }],
    ['QUEUE_NOT_FOUND', { queue: 3 }],
    ['NUMBER_OUT_OF_RANGE', { queue: -1 }],
    ['NUMBER_OUT_OF_RANGE', { queue: 0, producer_id: 'p', sequence: '9007199254740992' }],
    ['NUMBER_OUT_OF_RANGE', { queue: 0, producer_id: 'p', sequence: '-1' }],
    ['QUEUE_REQUIRED', { producer_id: 'p' }],
    ['SEQUENCE_GAP', { queue: 0, producer_id: 'p', sequence: 5 }],
    ['QUEUES_CHANGED', { queue: 0, queue_epoch: 99 }],
    ['TOPIC_RECREATED', { topic_id: '999' }],
    ['INVALID_REQUEST', { durability: 9 }],
    [
      'KEYS_ON_DIFFERENT_QUEUES',
      { messages: [{}, {}, {}, {}], ordering_keys: ['a', 'b', 'c', 'd'] },
    ],
    ['MESSAGE_TOO_LARGE', { messages: [{ body: Buffer.alloc(4_000_001) }] }],
  ])('%s', async (reason, fields) => {
    expect((await refusal(produce(fields))).reason).toBe(reason);
  });

  test('an unknown topic names the command; trailers are readable by any stub', async () => {
    const { error } = await refusal(produce({ topic: 'nowhere' }));
    expect(error.details).toContain('holdfast topic create nowhere');
    expect(error.metadata.get('holdfast-retryable')).toEqual(['false']);
    expect(error.metadata.get('holdfast-outcome-unknown')).toEqual(['false']);
    expect(error.metadata.get('grpc-status-details-bin')[0]).toBeInstanceOf(Buffer);
  });

  test('empty bodies and messages without any field are fine', async () => {
    await produce({ queue: 2, messages: [message(''), {}] });
    const fetched = await fetch({ queue: 2 });
    expect(fetched.batches[0]!.messages.map((one) => one.body.length)).toEqual([0, 0]);
  });

  test('a message of exactly maxMessageBytes passes default stubs both ways', async () => {
    const body = Buffer.alloc(4_000_000 - 5, 7);
    const ack = await produce({ queue: 0, messages: [{ body }] });
    expect(ack.base_offset).toBe('0');
    const fetched = await fetch({ max_bytes: 1 });
    expect(fetched.batches[0]!.messages[0]!.body.equals(body)).toBe(true);
    const tooLarge = produce({ queue: 0, messages: [{ body: Buffer.alloc(4_000_000 - 4) }] });
    expect((await refusal(tooLarge)).reason).toBe('MESSAGE_TOO_LARGE');
  });

  test('garbage gets clear errors', async () => {
    const garbage = client.raw('/holdfast.v1.Log/Produce', Buffer.from([0xff, 0xff, 0xff]));
    expect((await refusal(garbage)).reason).toBe('MALFORMED_REQUEST');
    const cold = client.raw('/holdfast.v1.Log/ListOffsets', Buffer.from([0x0a, 0x7f]));
    expect((await refusal(cold)).reason).toBe('MALFORMED_REQUEST');
  });
});

describe('fetch', () => {
  test('out of range says which way, with both ends in text and trailers', async () => {
    await produce({ queue: 0 });
    const { reason, error } = await refusal(fetch({ offset: 9 }));
    expect(reason).toBe('OFFSET_OUT_OF_RANGE');
    expect(error.details).toContain('past the end');
    expect(error.metadata.get('holdfast-start-offset')).toEqual(['0']);
    expect(error.metadata.get('holdfast-end-offset')).toEqual(['1']);
    expect((await refusal(fetch({ queue: 7 }))).reason).toBe('QUEUE_NOT_FOUND');
    expect((await refusal(fetch({ offset: -1 }))).reason).toBe('NUMBER_OUT_OF_RANGE');
  });

  test('a long poll wakes on the first message, through any node', async () => {
    for (const queue of [0, 1, 2]) {
      const waiting = fetch({ queue, max_wait_ms: 20_000 });
      await Promise.all([waiting, produce({ queue, messages: [message('late')] })]);
      expect((await waiting).batches[0]!.messages[0]!.body.toString()).toBe('late');
    }
  });

  test('the end of the wait is an empty answer before the deadline of the client', async () => {
    const call = client.call<Fetched>(
      'Log/Fetch',
      { topic, queue: 1, offset: 0, max_wait_ms: 30_000 },
      400,
    );
    expect(await call).toMatchObject({ end_offset: '0', next_offset: '0', batches: [] });
  });

  test('cancelled polls leave no waiter, here or on the leader', async () => {
    const starts = [0, 1, 2].map((queue) =>
      client.start('Log/Fetch', { topic, queue, offset: 0, max_wait_ms: 20_000 }),
    );
    const waiters = (): number => cluster.nodes.reduce((sum, node) => sum + node.fetchWaiters, 0);
    await until(() => waiters() === 3);
    for (const start of starts) start.cancel();
    await Promise.allSettled(starts.map((start) => start.answer));
    await until(() => waiters() === 0);
    await until(() => cluster.nodes.every((node) => node.service.stats().longPolls === 0));
  });

  test('a leader change is invisible to a waiting fetch', async () => {
    const shard = cluster.node(1).meta.topic(topic)!.queues[1]!.shard;
    const leader = cluster.leaders.get(shard)!;
    const waiting = fetch({ queue: 1, max_wait_ms: 20_000 });
    await until(() => cluster.node(leader).fetchWaiters === 1);
    cluster.setLeader(shard, undefined);
    cluster.setLeader(shard, (leader % 3) + 1);
    await until(() => cluster.node((leader % 3) + 1).fetchWaiters === 1);
    await produce({ queue: 1, messages: [message('after')] });
    expect((await waiting).batches[0]!.messages[0]!.body.toString()).toBe('after');
  });

  test('responses stay within what default stubs take', async () => {
    for (let i = 0; i < 5; i += 1) {
      await produce({ queue: 0, messages: [{ body: Buffer.alloc(1_000_000) }] });
    }
    const fetched = await fetch({ max_bytes: 4_194_304 });
    expect(Number(fetched.next_offset)).toBe(4);
    const tooMuch = fetch({ max_bytes: 16_777_217 });
    expect((await refusal(tooMuch)).reason).toBe('NUMBER_OUT_OF_RANGE');
  });
});
