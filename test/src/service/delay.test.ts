import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { DATA_SHARD_LIMITS } from '../../../src/broker/limits.ts';
import { DELAY_LEVELS_MS, MAX_DELAY_MS } from '../../../src/service/delay.ts';
import { connect, message, refusal, type TestClient } from '../../harness/service-client.ts';
import { FakeCluster } from '../../harness/service-cluster.ts';

let cluster: FakeCluster;
let client: TestClient;
let topic = '';
let shard = 0;

beforeAll(async () => {
  cluster = new FakeCluster(3, 3);
  await cluster.start();
});

afterAll(() => cluster.stop());

/** Through a node that does not lead the queue. */
beforeEach(({ task }) => {
  topic = `topic-${task.id}`;
  cluster.createTopic(topic, 1);
  shard = cluster.node(1).meta.topic(topic)!.queues[0]!.shard;
  client = connect(cluster.node((cluster.leaders.get(shard)! % 3) + 1).port);
});

afterEach(() => client.close());

interface DelayedAck {
  readonly first_message_id: string;
  readonly base_offset?: string;
  readonly deliver_at_ms?: string;
  readonly durability: number;
  readonly duplicate: boolean;
}

const produce = (fields: object): Promise<DelayedAck> =>
  client.call<DelayedAck>('Log/Produce', { topic, messages: [message('x')], ...fields });
const data = () => cluster.logs.get(shard)!.data;

describe('a delayed request', () => {
  it('has no offset yet, and says until when', async () => {
    const atMs = cluster.timeMs + 5000;
    const ack = await produce({ deliver_at_ms: atMs });
    expect(ack.deliver_at_ms).toBe(String(atMs));
    expect(ack).not.toHaveProperty('base_offset');
    expect(ack.durability).toBe(1);
    expect(data().nextDelayedAtMs()).toBe(atMs);
  });

  it('of a time that has come is stored at once', async () => {
    const ack = await produce({ deliver_at_ms: cluster.timeMs });
    expect(ack.base_offset).toBe('0');
    expect(ack).not.toHaveProperty('deliver_at_ms');
  });

  it('by level, as the leader counts time', async () => {
    expect(DELAY_LEVELS_MS).toHaveLength(18);
    for (const [level, ms] of [
      [1, 1000],
      [4, 30_000],
      [18, 7_200_000],
    ] as const) {
      const ack = await produce({ delay_level: level });
      expect(ack.deliver_at_ms).toBe(String(cluster.timeMs + ms));
    }
  });

  it('repeated by its producer, has its first answer', async () => {
    const sequenced = { producer_id: 'p', sequence: 0, queue: 0 };
    const fields = { ...sequenced, deliver_at_ms: cluster.timeMs + 5000 };
    const before = data().counts().delayed;
    const first = await produce(fields);
    const again = await produce(fields);
    expect(again).toMatchObject({ first_message_id: first.first_message_id, duplicate: true });
    expect(again).not.toHaveProperty('base_offset');
    expect(data().counts().delayed).toBe(before + 1);
  });

  it('needs MAJORITY_FSYNC where the topic has less', async () => {
    const name = `${topic}-weak`;
    cluster.createTopic(name, 1, 3);
    const ack = await produce({ topic: name, delay_level: 1 });
    expect(ack.durability).toBe(1);
  });
});

it.each<[object, RegExp]>([
  [{ delay_level: 19 }, /delay_level 19 does not exist: there are 1 to 18/],
  [{ delay_level: -1 }, /delay_level is -1|delay_level is about|must lie between/],
  [{ delay_level: 1, deliver_at_ms: 1 }, /give one of them/],
  [{ delay_level: 1, ordering_keys: ['k'] }, /leave ordering_keys out/],
  [{ deliver_at_ms: 9e12, ordering_keys: ['k'] }, /leave ordering_keys out/],
  [{ delay_level: 1, durability: 'LEADER' }, /needs durability MAJORITY_FSYNC/],
  [{ delay_level: 1, durability: 'NONE' }, /needs durability MAJORITY_FSYNC/],
  [{ deliver_at_ms: 1_700_000_000_000 + MAX_DELAY_MS + 60_000 }, /at most 3456000000 \(40 days/],
])('refused: %o', async (fields, text) => {
  const before = cluster.logs.get(shard)!.entries.length;
  const { error } = await refusal(produce(fields));
  expect(error.details).toMatch(text);
  expect(cluster.logs.get(shard)!.entries.length).toBe(before);
});

it('a shard that holds as many as it may takes no more, but what is due', async () => {
  const counts = data().counts.bind(data());
  data().counts = () => ({ ...counts(), delayed: DATA_SHARD_LIMITS.maxDelayedBatches });
  const { reason } = await refusal(produce({ delay_level: 1 }));
  expect(reason).toBe('SHARD_STATE_FULL');
  expect((await produce({ deliver_at_ms: 1 })).base_offset).toBe('0');
  data().counts = counts;
});

describe('recall', () => {
  const recall = (message_id: string) =>
    client.call<{ count: number }>('Log/Recall', { message_id });

  it('takes all that was sent together, once', async () => {
    const before = data().counts().delayed;
    const messages = [message('x'), message('y')];
    const { first_message_id: id } = await produce({ delay_level: 1, messages });
    expect(await recall(id)).toEqual({ count: 2 });
    expect(data().counts().delayed).toBe(before);
    expect((await refusal(recall(id))).reason).toBe('NOT_DELAYED');
  });

  it('comes too late for what was delivered, or was never delayed', async () => {
    const { first_message_id: id } = await produce({});
    expect((await refusal(recall(id))).reason).toBe('NOT_DELAYED');
    expect((await refusal(recall('99-1-0'))).reason).toBe('NOT_DELAYED');
    expect((await refusal(recall('0-1-0'))).reason).toBe('NOT_DELAYED');
  });

  it.each([
    ['', /is not a message id/],
    ['hf.1.2.3', /is not a message id/],
    ['1-2', /is not a message id/],
    ['1-2-1', /Give the id of the first/],
  ])('refused: %s', async (id, text) => {
    const { reason, error } = await refusal(recall(id));
    expect(reason).toBe('INVALID_REQUEST');
    expect(error.details).toMatch(text);
  });
});
