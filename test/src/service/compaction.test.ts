/** Compacted topics from the request to the command: who reads what of them is told elsewhere. */
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { COMPACTION_LEVEL } from '../../../src/broker/feature-level.ts';
import { keyHash } from '../../../src/cluster/hash.ts';
import { Proto } from '../../../src/service/proto.ts';
import {
  type Ack,
  connect,
  message,
  refusal,
  type TestClient,
} from '../../harness/service-client.ts';
import { commandOf, FakeCluster } from '../../harness/service-cluster.ts';

const QUEUES = 4;
const DAY_MS = 86_400_000;

let cluster: FakeCluster;
let client: TestClient;
let name = '';

beforeAll(async () => {
  cluster = new FakeCluster(3, 3);
  await begin(cluster);
});
afterAll(() => cluster.stop());
beforeEach(({ task }) => {
  name = `topic-${task.id}`;
  client = connect(cluster.node(2).port);
});
afterEach(() => client.close());

async function begin(begun: FakeCluster): Promise<void> {
  await begun.start();
  begun.node(1).host.onApplied((shard) => {
    if (shard === 0) setImmediate(() => begun.reconcile());
  });
}

const create = (compaction: object, config: object = {}) =>
  client.call('Admin/CreateTopic', {
    ...{ name, queue_count: QUEUES },
    config: { ...config, compaction },
  });

const produce = (messages: readonly object[], fields: object = {}, by = client): Promise<Ack> =>
  by.call<Ack>('Log/Produce', { topic: name, messages, ...fields });

const keyed = (key: string, body = 'x') => message(body, { key });

/** What the shard's log says of the request that was acknowledged so. */
function stored({ first_message_id: id }: Ack) {
  const [shard, index] = id.split('-').map(Number);
  return commandOf(cluster.shard(shard!).entries[index! - 1]!);
}

describe('a compacted topic', () => {
  it('is created with its defaults, and kept for ever', async () => {
    const topic = { config: { retention_ms: '0', compaction: { min_lag_ms: '0' } } };
    expect(await create({})).toMatchObject({ topic });
    const described = await client.call('Admin/DescribeTopic', { name });
    const compaction = { min_lag_ms: '0', tombstone_ms: String(DAY_MS) };
    expect(described).toMatchObject({ topic: { config: { compaction } } });
    const queues = cluster.node(2).meta.topic(name)!.queues;
    expect(queues).toHaveLength(QUEUES);
    for (const { queueId, shard } of queues) {
      const queue = cluster.shard(shard).data.queue(queueId);
      expect(queue?.compaction).toEqual({ minLagMs: 0, tombstoneMs: DAY_MS });
    }
  });

  it('takes what it is given, as far as it goes', async () => {
    const most = { min_lag_ms: String(7 * DAY_MS), tombstone_ms: String(30 * DAY_MS) };
    const created = await create(most, { retention_ms: 0, retention_bytes: 0 });
    expect(created).toMatchObject({ topic: { config: { retention_ms: '0', compaction: most } } });
    const none = { min_lag_ms: '0', tombstone_ms: '0' };
    name = `${name}-none`;
    expect(await create(none)).toMatchObject({ topic: { config: { compaction: none } } });
  });

  it('stays as it was created: other settings change', async () => {
    await create({});
    const update = (fields: object) => client.call('Admin/UpdateTopic', { name, ...fields });
    for (const fields of [
      { queue_count: QUEUES + 1 },
      { config: { disk_policy: 2 } },
      { config: { retention_ms: 1 } },
      { config: { retention_bytes: 1 } },
      { config: { compaction: {} } },
    ]) {
      const { reason } = await refusal(update(fields));
      expect([fields, reason]).toEqual([fields, 'TOPIC_COMPACTED']);
    }
    const topic = { queue_count: QUEUES, config: { durability: 2, compaction: {} } };
    const config = { durability: 2, retention_ms: 0, retention_bytes: 0 };
    const changed = await update({ queue_count: QUEUES, config });
    expect(changed).toMatchObject({ topic });
    // Nobody is sent to drain it first.
    const { queue } = await produce([keyed('k')]);
    const offsets = [{ queue, offset: 0 }];
    await client.call('Log/CommitOffset', { group: name, topic: name, offsets });
    await update({ config: { order: 2, writes: 2 } });
    const { reason } = await refusal(update({ queue_count: QUEUES + 1 }));
    expect(reason).toBe('TOPIC_COMPACTED');
  });

  it('other topics have none', async () => {
    const plain = await client.call('Admin/CreateTopic', { name });
    expect(plain).toMatchObject({ topic: { config: { compaction: null } } });
    expect(stored(await produce([message('x')]))).not.toHaveProperty('keys');
  });

  it('is refused while older builds may be about', async () => {
    const older = new FakeCluster(1, 1, COMPACTION_LEVEL - 1);
    await begin(older);
    const early = connect(older.node(1).port);
    const request = { name, config: { compaction: {} } };
    const { reason } = await refusal(early.call('Admin/CreateTopic', request));
    expect(reason).toBe('UPGRADE_UNFINISHED');
    await early.call('Admin/CreateTopic', { name });
    early.close();
    await older.stop();
  });
});

describe('messages of a compacted topic', () => {
  beforeEach(() => create({}));

  it.each([1, 2, 3])('have their keys told, by node %i', async (node) => {
    const by = connect(cluster.node(node).port);
    const messages = [keyed('é'), keyed('b', ''), { key: 'b' }, keyed('é', 'later')];
    const ack = await produce(messages, { queue: 1 }, by);
    by.close();
    expect(stored(ack)).toMatchObject({
      keys: [
        { key: 'é', isTombstone: false },
        { key: 'b', isTombstone: true },
        { key: 'b', isTombstone: true },
        { key: 'é', isTombstone: false },
      ],
    });
    const { queueId, shard } = cluster.node(1).meta.topic(name)!.queues[1]!;
    const { compactedKeys } = cluster.shard(shard).data;
    const newest = (key: string) => compactedKeys.latest(queueId, key);
    expect(newest('é')).toMatchObject({ offset: 3, goneAtMs: undefined });
    expect(newest('b')).toMatchObject({ offset: 2, goneAtMs: cluster.timeMs + DAY_MS });
  });

  it('at weaker levels too, acknowledged as these are', async () => {
    const ack = await produce([keyed('k')], { durability: 3 });
    expect(ack).toMatchObject({ durability: 3 });
    expect(stored(ack)).toMatchObject({ keys: [{ key: 'k' }] });
  });

  it('go by their keys to the queue that the ordering key names', async () => {
    for (const key of ['a', 'b', 'c', 'd', 'e']) {
      const queue = keyHash(key) % QUEUES;
      expect(await produce([keyed(key), keyed(key)])).toMatchObject({ queue });
      expect(await produce([keyed(key)], { dedup_keys: [`id-${key}`] })).toMatchObject({ queue });
      expect(await produce([keyed('z')], { ordering_keys: [key] })).toMatchObject({ queue });
      expect(await produce([keyed(key)], { queue: 3 })).toMatchObject({ queue: 3 });
    }
  });

  it('of fields that come twice the last one counts', async () => {
    const request = proto.method('/holdfast.v1.Log/Produce').requestSerialize({ topic: name });
    const fields = [...text(1, 'first'), ...text(4, 'body'), ...text(1, 'last'), ...text(4, '')];
    const bytes = Buffer.concat([request, Buffer.from([0xc2, 0x3e, fields.length, ...fields])]);
    const answer = await client.raw('/holdfast.v1.Log/Produce', bytes);
    const ack = proto.method('/holdfast.v1.Log/Produce').responseDeserialize(answer);
    const keys = [{ key: 'last', isTombstone: true }];
    expect(stored(ack as unknown as Ack)).toMatchObject({ keys });
  });

  it('are read by offsets', async () => {
    const { queue } = await produce([keyed('k')]);
    const fetched = await client.call('Log/Fetch', { topic: name, queue });
    expect(fetched).toMatchObject({ batches: [{ count: 1 }], next_offset: '1' });
  });
});

const proto = new Proto();

function text(field: number, value: string): number[] {
  const bytes = Buffer.from(value);
  return [field * 8 + 2, bytes.length, ...bytes];
}
