/** Writes refused, and more queues for a topic of strict order once it is drained. */
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { EMPTY_BYTES } from '../../../raft/types.ts';
import { encodeCommand } from '../../../src/broker/command-codec.ts';
import type { Command } from '../../../src/broker/commands.ts';
import { connect as connectClient } from '../../../src/client/index.ts';
import { keyHash } from '../../../src/cluster/hash.ts';
import { Fences } from '../../../src/service/fences.ts';
import {
  type Ack,
  connect,
  type Fetched,
  message,
  refusal,
  type TestClient,
} from '../../harness/service-client.ts';
import { FakeCluster } from '../../harness/service-cluster.ts';

const ACCEPTED = { config: { writes: 1 } };
const REFUSED = { config: { writes: 2 } };
const STRICT = 2;
const LEADER = 3;

let cluster: FakeCluster;
let client: TestClient;
/** To a node whose metadata stand still while a test says so. */
let stale: TestClient;
let name = '';

beforeAll(async () => {
  cluster = new FakeCluster(3, 3);
  await cluster.start();
});
afterAll(() => cluster.stop());
beforeEach(async ({ task }) => {
  name = `topic-${task.id}`;
  client = connect(cluster.node(2).port);
  stale = connect(cluster.node(3).port);
  await settled(client.call('Admin/CreateTopic', { name, queue_count: 2, ...strict }));
});
afterEach(() => {
  cluster.node(3).releaseMeta();
  client.close();
  stale.close();
});
const strict = { config: { order: STRICT } };

/** The reconciler is at work until the call is answered. */
async function settled<Answer>(call: Promise<Answer>): Promise<Answer> {
  let isOver = false;
  const over = () => {
    isOver = true;
  };
  call.then(over, over);
  while (!isOver) {
    cluster.reconcile();
    await new Promise(setImmediate);
  }
  return call;
}

interface Described {
  readonly topic: { readonly queue_count: number; readonly queue_epoch: string };
}
const update = (fields: object) =>
  settled(client.call<Described>('Admin/UpdateTopic', { name, ...fields }));
const produce = (fields: object = {}, through = client) =>
  through.call<Ack>('Log/Produce', { topic: name, queue: 0, messages: [message('x')], ...fields });
const reasonOf = async (call: Promise<unknown>) => (await refusal(call)).reason;
const group = (suffix: string) => `${suffix}-${name}`;

async function endOf(queue: number): Promise<number> {
  const request = { topic: name, queue, offset: 0, max_bytes: 1000 };
  return Number((await client.call<Fetched>('Log/Fetch', request)).end_offset);
}

describe('a topic that refuses writes', () => {
  it('stores nothing, and what it holds is read; then it accepts them again', async () => {
    await produce();
    expect(await update(REFUSED)).toMatchObject({ topic: { config: { writes: 2 } } });
    const { reason, error } = await refusal(produce());
    expect(reason).toBe('WRITES_REFUSED');
    expect(error.details).toContain('--writes accepted');
    const parts = [{ topic: name, queue: 1, messages: [message('x')] }];
    const prepare = { producer_group: 'g', parts };
    expect(await reasonOf(client.call('Transactions/Prepare', prepare))).toBe('WRITES_REFUSED');
    const two = { ...prepare, parts: [...parts, { ...parts[0], queue: 0 }] };
    const many = await refusal(client.call('Transactions/Prepare', two));
    expect(many.reason).toBe('TRANSACTION_NOT_PREPARED');
    expect(many.error.details).toContain('WRITES_REFUSED');
    expect([await endOf(0), await endOf(1)]).toEqual([1, 0]);
    expect(await update(ACCEPTED)).toMatchObject({ topic: { queue_epoch: '2' } });
    expect(await produce()).toMatchObject({ base_offset: '1' });
    expect(await client.call('Transactions/Prepare', prepare)).toMatchObject({ duplicate: false });
    const ack = await client.call<{ transaction_id: string }>('Transactions/Prepare', two);
    await client.call('Transactions/End', {
      ...{ producer_group: 'g', transaction_id: ack.transaction_id, decision: 1 },
    });
    expect([await endOf(0), await endOf(1)]).toEqual([3, 1]);
  });

  it('refuses them through a node that has not heard of it, and repeats old answers', async () => {
    const producer = { producer_id: 'p', producer_epoch: 1, sequence: 0 };
    const first = await produce(producer);
    cluster.node(3).holdMeta = true;
    await update(REFUSED);
    for (const fields of [{}, { durability: LEADER }, { ...producer, sequence: 1 }]) {
      expect(await reasonOf(produce(fields, stale))).toBe('WRITES_REFUSED');
    }
    // Weak, and with a sequence: acknowledged only when it is applied, so here not at all.
    const weak = { ...producer, sequence: 1, durability: LEADER };
    expect(await reasonOf(produce(weak, stale))).toBe('WRITES_REFUSED');
    const { base_offset, first_message_id } = first;
    expect(await produce(producer, stale)).toMatchObject({ base_offset, first_message_id });
    await update(ACCEPTED);
    expect(await reasonOf(produce({}, stale))).toBe('WRITES_REFUSED');
    cluster.node(3).releaseMeta();
    expect(await produce({}, stale)).toMatchObject({ base_offset: '1' });
  });
});

describe('a topic of strict order', () => {
  const grow = () => update({ queue_count: 3 });
  const left = async () => {
    const { reason, error } = await refusal(grow());
    expect(reason).toBe('NOT_DRAINED');
    return error.details;
  };

  it('grows only while it refuses writes; then a key goes where all agree', async () => {
    const key = ['a', 'b', 'c', 'd', 'e'].find((one) => keyHash(one) % 3 === 2)!;
    const keyed = { queue: undefined, ordering_keys: [key], messages: [{ ...message('x'), key }] };
    const { reason, error } = await refusal(grow());
    expect(reason).toBe('TOPIC_STRICT');
    expect(error.details).toContain('--drain');
    cluster.node(3).holdMeta = true;
    await update(REFUSED);
    expect(await grow()).toMatchObject({ topic: { queue_count: 3, queue_epoch: '2' } });
    expect(await reasonOf(produce(keyed))).toBe('WRITES_REFUSED');
    await update(ACCEPTED);
    // It would take the key to the queue that was the key's among two.
    expect(await reasonOf(produce(keyed, stale))).toBe('WRITES_REFUSED');
    expect(await produce(keyed)).toMatchObject({ queue: 2, base_offset: '0' });
    cluster.node(3).releaseMeta();
    expect(await produce(keyed, stale)).toMatchObject({ queue: 2, base_offset: '1' });
    expect(await reasonOf(update({ queue_count: 4 }))).toBe('TOPIC_STRICT');
  });

  it('keeps producers waiting, who go on where their keys are now', async () => {
    const holdfast = connectClient({ servers: `127.0.0.1:${cluster.node(2).port}` });
    const producer = holdfast.producer({ topic: name });
    const key = ['a', 'b', 'c', 'd', 'e'].find((one) => keyHash(one) % 3 === 2)!;
    const send = () => producer.send({ body: 'x', orderingKey: key });
    await send();
    await update(REFUSED);
    const waiting = [send(), send()];
    await grow();
    await update(ACCEPTED);
    expect(await Promise.all(waiting)).toMatchObject([{ queue: 2 }, { queue: 2 }]);
    expect(await endOf(2)).toBe(2);
    await producer.close();
    await holdfast.close();
  });

  it('waits for groups: those that committed, and those that have members', async () => {
    const commit = (offset: number, queue = 0) =>
      client.call('Log/CommitOffset', {
        ...{ group: group('g'), topic: name, offsets: [{ queue, offset }] },
      });
    await produce();
    await produce();
    await commit(1);
    await update(REFUSED);
    expect(await left()).toContain(`group "${group('g')}" has 1 messages of queue 0 to read`);
    await commit(2);
    const join = { group: group('h'), member_id: 'm', session_ms: 30_000, topics: [name] };
    await client.call('Groups/Join', join);
    expect(await left()).toContain(`group "${group('h')}" has committed nothing in queue 0`);
    await client.call('Groups/Leave', { group: group('h'), member_id: 'm' });
    await grow();
  });

  it('waits for what is delayed, undecided, given or never given', async () => {
    const delayed = await produce({ deliver_at_ms: cluster.timeMs + 60_000 });
    const half = await client.call<{ transaction_id: string }>('Transactions/Prepare', {
      ...{ producer_group: 'g', parts: [{ topic: name, queue: 1, messages: [message('x')] }] },
    });
    await update(REFUSED);
    expect(await left()).toContain('1 delayed or half messages of queue 0');
    await client.call('Log/Recall', { message_id: delayed.first_message_id });
    expect(await left()).toContain('1 delayed or half messages of queue 1');
    await client.call('Transactions/End', {
      ...{ producer_group: 'g', transaction_id: half.transaction_id, decision: 1 },
    });
    const receive = { group: group('r'), topic: name, max_messages: 10, from: 1 };
    const { deliveries } = await client.call<{ deliveries: readonly { token: string }[] }>(
      ...(['Deliveries/Receive', receive] as const),
    );
    expect(deliveries).toHaveLength(1);
    expect(await left()).toContain(`group "${group('r')}" has 1 messages of queue 1 to receive`);
    const tokens = deliveries.map(({ token }) => token);
    await client.call('Deliveries/Ack', { group: group('r'), topic: name, tokens });
    await grow();
  });
});

describe('a fence under way', () => {
  const target = { shard: 1, queueId: 90, queue: 0, variant: LEADER };
  const fence = (minQueueEpoch: number): Command => ({
    ...{ type: 'fenceQueue', queueId: 90, minQueueEpoch },
  });

  it('lets no weak acknowledgement leave early, until it is applied', () => {
    const { host } = cluster.node(1);
    const listeners = new Set<(shard: number) => void>();
    const onLeadership = (listener: (shard: number) => void) => {
      listeners.add(listener);
      return () => undefined;
    };
    const fences = new Fences({ data: host.data.bind(host), onLeadership });
    const open = { type: 'openQueue', queueId: 90, topicId: 'x', queue: 0 } as const;
    cluster.append(1, encodeCommand(open), EMPTY_BYTES);
    const at = (queueEpoch: number) => fences.mayRefuse({ ...target, queueEpoch });
    fences.note(1, open);
    expect(fences.mayRefuse(target)).toBe(false);
    const applied = fences.note(1, fence(3));
    expect([fences.mayRefuse(target), at(2), at(3)]).toEqual([true, true, false]);
    expect(fences.mayRefuse({ ...target, queueId: 91 })).toBe(false);
    cluster.append(1, encodeCommand(fence(3)), EMPTY_BYTES);
    applied();
    expect([at(2), at(3)]).toEqual([true, false]);
    fences.note(1, fence(4));
    expect(at(3)).toBe(true);
    // A new leader has applied what the last one proposed, or it never was.
    for (const listener of listeners) listener(1);
    expect(at(3)).toBe(false);
  });
});
