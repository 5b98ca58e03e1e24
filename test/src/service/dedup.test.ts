import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { DataShard } from '../../../src/broker/api.ts';
import { DATA_SHARD_LIMITS } from '../../../src/broker/limits.ts';
import { connect as connectClient } from '../../../src/client/index.ts';
import { refuseDedupKeys } from '../../../src/service/dedup.ts';
import {
  type Ack,
  connect,
  message,
  refusal,
  type TestClient,
  trailer,
} from '../../harness/service-client.ts';
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
  cluster.createTopic(topic, 4);
  client = connect(cluster.node(2).port);
});
afterEach(() => client.close());

const produce = (keys: readonly string[], fields: object = {}, count = 1): Promise<Ack> =>
  client.call<Ack>('Log/Produce', {
    topic,
    dedup_keys: keys,
    messages: Array.from({ length: count }, () => message('x')),
    ...fields,
  });

describe('dedup keys', () => {
  it('choose the queue, and the first answer comes again', async () => {
    const first = await produce(['order-7']);
    expect(first.duplicate).toBe(false);
    const again = await produce(['order-7']);
    const { queue, base_offset, first_message_id, durability } = first;
    const same = { queue, base_offset, first_message_id, durability, duplicate: true };
    expect(again).toMatchObject(same);
  });

  it('name the message among those that came together', async () => {
    await produce(['a', 'b', 'c'], { queue: 1 }, 3);
    const again = await produce(['b'], { queue: 1 });
    expect(again).toMatchObject({ base_offset: '1', duplicate: true });
    expect(again.first_message_id).toMatch(/-1$/);
    const { reason, error } = await refusal(produce(['c', 'd'], { queue: 1 }, 2));
    expect(reason).toBe('DEDUP_KEYS_MIXED');
    expect(error.details).toContain('"c" stands at offset 2');
    expect(trailer(error, 'offset')).toBe('2');
  });

  it('make MAJORITY_FSYNC of what the topic has less of', async () => {
    const weak = `${topic}-weak`;
    cluster.createTopic(weak, 1, 3);
    const ack = await produce(['a'], { topic: weak });
    expect(ack).toMatchObject({ durability: 1, base_offset: '0' });
  });

  it('go with a delay and with sequences', async () => {
    const delayed = { deliver_at_ms: cluster.timeMs + 5000 };
    const first = await produce(['later'], delayed);
    const again = await produce(['later'], delayed);
    expect(again).toMatchObject({ first_message_id: first.first_message_id, duplicate: true });
    expect(again).not.toHaveProperty('base_offset');
    const by = (sequence: number) => ({ producer_id: 'p', sequence, queue: 0 });
    await produce(['s'], by(0));
    expect(await produce(['s'], by(1))).toMatchObject({ duplicate: true });
    expect(await produce(['t'], by(2))).toMatchObject({ duplicate: false });
  });

  it('are remembered as long as the topic says', async () => {
    const update = (config: object) => client.call('Admin/UpdateTopic', { name: topic, config });
    await update({ dedup_window_ms: 2000 });
    await produce(['a']);
    cluster.timeMs += 1999;
    expect((await produce(['a'])).duplicate).toBe(true);
    cluster.timeMs += 1;
    expect((await produce(['a'])).duplicate).toBe(false);
    await update({ dedup_window_ms: 0 });
    const { reason, error } = await refusal(produce(['a']));
    expect(reason).toBe('DEDUP_OFF');
    expect(error.details).toContain('dedup_window_ms is 0');
    const described = await client.call('Admin/DescribeTopic', { name: topic });
    expect(described).toMatchObject({ topic: { config: { dedup_window_ms: '0' } } });
  });

  it.each([
    ['INVALID_REQUEST', '2 dedup_keys for 3 messages', () => produce(['a', 'b'], {}, 3)],
    ['INVALID_REQUEST', 'a dedup key is empty', () => produce([''])],
    ['INVALID_REQUEST', 'a dedup key has 65 bytes', () => produce(['x'.repeat(65)])],
    ['INVALID_REQUEST', 'given twice', () => produce(['a', 'a'], { queue: 0 }, 2)],
    ['INVALID_REQUEST', 'MAJORITY_FSYNC', () => produce(['a'], { durability: 2 })],
    ['INVALID_REQUEST', 'MAJORITY_FSYNC', () => produce(['a'], { durability: 4 })],
    [
      'KEYS_ON_DIFFERENT_QUEUES',
      'the dedup_keys fall on queues',
      () => produce(['a', 'b', 'c', 'd', 'e'], {}, 5),
    ],
    [
      'NUMBER_OUT_OF_RANGE',
      'dedup_window_ms',
      () =>
        client.call('Admin/UpdateTopic', { name: topic, config: { dedup_window_ms: 604_800_001 } }),
    ],
  ])('%s: %s', async (reason, text, refused) => {
    const { reason: found, error } = await refusal(refused());
    expect(found).toBe(reason);
    expect(error.details).toContain(text);
  });

  it('are refused by a shard that is full, but not those that it knows', () => {
    const { maxDedupKeys } = DATA_SHARD_LIMITS;
    const full = (areNew: boolean, endMs: number) => {
      const data = {
        counts: () => ({ dedupKeys: maxDedupKeys }),
        dedupKeysEndMs: () => endMs,
        areDedupKeysNew: () => areNew,
      } as unknown as DataShard;
      return refuseDedupKeys(data, 1, ['a'], 1000)?.reason;
    };
    expect(full(true, 1001)).toBe('SHARD_STATE_FULL');
    expect(full(false, 1001)).toBeUndefined();
    expect(full(true, 1000)).toBeUndefined();
  });

  it('by the client: each leaves by itself, and comes back with its first place', async () => {
    const own = connectClient({ servers: `127.0.0.1:${cluster.node(1).port}` });
    const producer = own.producer({ topic });
    const sent = ['a', 'b', 'a'].map((dedupKey) => producer.send({ body: 'x', dedupKey }));
    const [a, b, again] = await Promise.all(sent);
    expect([a!.duplicate, b!.duplicate, again!.duplicate]).toEqual([false, false, true]);
    expect(again).toMatchObject({ queue: a!.queue, offset: a!.offset, messageId: a!.messageId });
    await expect(producer.send({ dedupKey: '' })).rejects.toThrow('1 to 64');
    await own.close();
  });
});
