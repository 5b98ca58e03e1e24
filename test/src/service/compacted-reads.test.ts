/** What readers of a compacted topic see, whether its log was made smaller or not. */
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { encodeCommand } from '../../../src/broker/command-codec.ts';
import { Compaction } from '../../../src/shards/compaction.ts';
import {
  type Ack,
  type Batch,
  connect,
  type Fetched,
  message,
  refusal,
  type TestClient,
  until,
} from '../../harness/service-client.ts';
import { FakeCluster } from '../../harness/service-cluster.ts';

const MIN_LAG_MS = 1000;
const TOMBSTONE_MS = 60_000;
/** Offsets that are written again together. */
const BUCKET = 1024;
const TAG = 1;

let cluster: FakeCluster;
let client: TestClient;
let topic = '';
let shard = 0;

beforeAll(async () => {
  cluster = new FakeCluster(3, 3);
  await cluster.start();
});
afterAll(() => cluster.stop());
beforeEach(({ task }) => {
  topic = `topic-${task.id}`;
  cluster.createTopic(topic, 1, 1, { minLagMs: MIN_LAG_MS, tombstoneMs: TOMBSTONE_MS });
  shard = cluster.node(1).meta.topic(topic)!.queues[0]!.shard;
  // Not the leader of the queue.
  client = connect(cluster.node((cluster.leaders.get(shard)! % 3) + 1).port);
});
afterEach(() => client.close());

const keyed = (key: string, body: string, fields: object = {}) => message(body, { key, ...fields });
const send = (...messages: object[]): Promise<Ack> =>
  client.call<Ack>('Log/Produce', { topic, messages });
const fetch = (offset: number, fields: object = {}): Promise<Fetched> =>
  client.call<Fetched>('Log/Fetch', { topic, queue: 0, offset, ...fields });

/** Offset, key and body of each. */
const shown = (batches: readonly Batch[]) =>
  batches.flatMap(({ base_offset, messages }) =>
    messages.map(({ body, key }, at) => `${Number(base_offset) + at} ${key}=${body}`),
  );

async function read(offset = 0, fields: object = {}): Promise<string[]> {
  const found = await fetch(offset, fields);
  expect(found.next_offset).toBe(found.end_offset);
  return shown(found.batches);
}

/** As the leader does when it is time. */
async function compact(): Promise<void> {
  const { data, rows } = cluster.shard(shard);
  const { host } = cluster.node(cluster.leaders.get(shard)!);
  await new Compaction().run({
    ...{ shard, data, host, nowMs: cluster.timeMs },
    rowsFrom: async (queueId, offset, limit) => {
      const own = rows.filter((row) => row.queueId === queueId);
      return own.filter((row) => row.baseOffset + row.count > offset).slice(0, limit);
    },
    offsetAtTime: async ({ endOffset, queueId }, atMs) => {
      const own = rows.filter((row) => row.queueId === queueId);
      return own.find(({ storedAtMs }) => storedAtMs >= atMs)?.baseOffset ?? endOffset;
    },
    mayGoOn: () => true,
    onDamage: (error) => expect.unreachable(error.message),
  });
}

/** As where a newer message of each key before `startOffset` was stored. */
function raiseStart(startOffset: number): void {
  const { queueId } = cluster.node(1).meta.topic(topic)!.queues[0]!;
  const queues = [{ queueId, startOffset, startIndex: 0 }];
  cluster.append(shard, encodeCommand({ type: 'trim', queues, logTrim: 0 }), Buffer.alloc(0));
}

/** Key `k` again and again, up to the end of the bucket. */
async function fillBucket(): Promise<void> {
  const { queueId } = cluster.node(1).meta.topic(topic)!.queues[0]!;
  const { endOffset } = cluster.shard(shard).data.queue(queueId)!;
  const left = BUCKET - (endOffset % BUCKET);
  for (let sent = 0; sent < left; sent += 128) {
    const count = Math.min(128, left - sent);
    await send(...Array.from({ length: count }, (_, at) => keyed('k', `${sent + at}`)));
  }
}

interface Frame {
  readonly next_offset: string;
  readonly batches: readonly Batch[];
}

describe('a compacted topic', () => {
  it('shows all within the lag, then the newest of each key, deletions for a time', async () => {
    await send(keyed('a', '1'), keyed('b', '1'));
    await send(keyed('a', '2'), keyed('b', ''));
    expect(await read()).toEqual(['0 a=1', '1 b=1', '2 a=2', '3 b=']);
    cluster.timeMs += MIN_LAG_MS;
    expect(await read()).toEqual(['2 a=2', '3 b=']);
    expect(await read(1)).toEqual(['2 a=2', '3 b=']);
    cluster.timeMs += TOMBSTONE_MS;
    expect(await read()).toEqual(['2 a=2']);
    await send(keyed('b', '2'));
    expect(await read()).toEqual(['2 a=2', '4 b=2']);
  });

  it('counts and filters what is shown', async () => {
    await send(keyed('a', '1', { tag: 'new' }), keyed('b', '1', { tag: 'new' }));
    await send(keyed('c', '1', { tag: 'old' }), keyed('a', '2', { tag: 'old' }));
    await send(keyed('d', '1', { tag: 'new' }));
    cluster.timeMs += MIN_LAG_MS;
    const filter = { type: TAG, expression: 'new' };
    expect(await read(0, { filter })).toEqual(['1 b=1', '4 d=1']);
    const first = await fetch(0, { max_messages: 2 });
    expect(shown(first.batches)).toEqual(['1 b=1', '2 c=1']);
    expect(first.next_offset).toBe('3');
  });

  it('shows the same, by the same names, when it takes less room', async () => {
    const early = await send(keyed('a', '1'), keyed('b', '1'), keyed('c', '1'));
    cluster.timeMs += MIN_LAG_MS;
    await send(keyed('b', '2'));
    await fillBucket();
    await send(keyed('d', '1'));
    cluster.timeMs += MIN_LAG_MS;
    const before = await fetch(0);
    await compact();
    const after = await fetch(0);
    const names = ({ batches }: Fetched) =>
      batches.map(({ base_offset, first_message_id, stored_at_ms }) => [
        ...[base_offset, first_message_id, stored_at_ms],
      ]);
    expect(names(after)).toEqual(names(before));
    expect(shown(after.batches)).toEqual(shown(before.batches));
    expect(shown(after.batches)).toEqual(['0 a=1', '2 c=1', '3 b=2', '1023 k=1019', '1024 d=1']);
    expect(after.batches[1]!.first_message_id).toBe(early.first_message_id.replace(/-0$/, '-2'));
    const { rows } = cluster.shard(shard);
    expect(rows.filter(({ queueId }) => queueId === rows.at(-1)!.queueId)).toHaveLength(2);
    expect(await read(1)).toEqual(['2 c=1', '3 b=2', '1023 k=1019', '1024 d=1']);
    expect(await read(700)).toEqual(['1023 k=1019', '1024 d=1']);
  });

  it('is read on from its start by whoever stands below it', async () => {
    await send(keyed('a', '1'), keyed('b', '1'));
    const group = `${topic}-group`;
    const commit = (offset: number) =>
      client.call('Log/CommitOffset', { group, topic, offsets: [{ queue: 0, offset }] });
    await commit(0);
    await send(keyed('a', '2'), keyed('b', '2'));
    cluster.timeMs += MIN_LAG_MS;
    raiseStart(2);
    const left = ['2 a=2', '3 b=2'];
    expect([await read(0), await read(1), await read(2)]).toEqual([left, left, left]);
    expect(await fetch(1)).toMatchObject({ start_offset: '2', next_offset: '4' });
    const { reason } = await refusal(fetch(5));
    expect(reason).toBe('OFFSET_OUT_OF_RANGE');
    for (const start of [{ queues: [{ queue: 0, offset: 0 }] }, { group }]) {
      const stream = client.stream<object, Frame>('Log/Subscribe');
      const frames: Frame[] = [];
      stream.on('data', (frame: Frame) => frames.push(frame));
      stream.on('error', () => undefined);
      stream.write({ start: { topic, ...start, credit: 9 } });
      await until(() => frames.length > 0);
      expect(shown(frames[0]!.batches)).toEqual(left);
      stream.cancel();
    }
    const standing = () => client.call('Log/GetOffset', { group, topic });
    expect(await standing()).toMatchObject({ queues: [{ offset: '0', lag: '2' }] });
    await commit(1);
    expect(await standing()).toMatchObject({ queues: [{ offset: '1', lag: '2' }] });
    const reset = { group, topic, offsets: { offsets: [{ queue: 0, offset: 0 }] } };
    expect(await client.call('Log/ResetOffsets', reset)).toMatchObject({
      offsets: [{ offset: '0' }],
    });
  });

  it('is subscribed to past what is hidden', async () => {
    await send(keyed('a', '1'), keyed('b', '1'), keyed('a', '2'));
    cluster.timeMs += MIN_LAG_MS;
    const stream = client.stream<object, Frame>('Log/Subscribe');
    const frames: Frame[] = [];
    stream.on('data', (frame: Frame) => frames.push(frame));
    stream.on('error', () => undefined);
    stream.write({ start: { topic, queues: [{ queue: 0, offset: 0 }], credit: 3 } });
    const all = () => frames.flatMap(({ batches }) => shown(batches));
    await until(() => all().length === 2);
    expect(all()).toEqual(['1 b=1', '2 a=2']);
    // What is hidden has cost no credit.
    await send(keyed('c', '1'), keyed('d', '1'));
    await until(() => all().length === 3);
    expect(all()).toEqual(['1 b=1', '2 a=2', '3 c=1']);
    stream.cancel();
  });
});

describe('a trace', () => {
  interface Trace {
    readonly message_id: string;
    readonly events: readonly { readonly what: string; readonly facts: { offset?: string } }[];
    readonly matches: readonly object[];
    readonly scanned: readonly object[];
  }
  const trace = (fields: object) => client.call<Trace>('Admin/Trace', fields);
  const what = ({ events }: Trace) => events.map((event) => event.what);
  const second = ({ first_message_id: id }: Ack) => ({ message_id: id.replace(/-0$/, '-1') });

  it('by key names the newest message, wherever it stands', async () => {
    await send(keyed('a', '1'));
    const newest = await send(keyed('b', '1'), keyed('a', '2'));
    for (let i = 0; i < 5; i++) await fillBucket();
    cluster.timeMs += MIN_LAG_MS;
    const found = await trace({ topic, key: 'a' });
    expect(found).toMatchObject({ ...second(newest), matches: [{ queue: 0, offset: '2' }] });
    expect(found.scanned).toEqual([{ queue: 0, from_offset: '2', end_offset: '5120' }]);
    await send(keyed('gone', ''), keyed('b', '2'));
    cluster.timeMs += TOMBSTONE_MS;
    for (const key of ['gone', 'none']) {
      const { reason } = await refusal(trace({ topic, key }));
      expect(reason).toBe('MESSAGE_NOT_FOUND');
    }
  });

  it('by id goes on behind much that is hidden', async () => {
    await send(keyed('first', '1'));
    for (let i = 0; i < 6; i++) await send(keyed('k', 'x'.repeat(400_000)));
    const { first_message_id: id } = await send(keyed('a', '1'));
    await send(keyed('k', 'last'));
    cluster.timeMs += MIN_LAG_MS;
    const found = await trace({ message_id: id });
    expect(found.events[1]).toMatchObject({ what: 'VISIBLE', facts: { offset: '7' } });
  });

  it('by id tells what is hidden from what is shown, by other entries if need be', async () => {
    const early = await send(keyed('a', '1'), keyed('b', '1'));
    for (let i = 0; i < 3; i++) await fillBucket();
    const late = await send(keyed('a', '2'), keyed('c', '1'));
    await fillBucket();
    cluster.timeMs += MIN_LAG_MS;
    const hidden = { message_id: early.first_message_id };
    expect(what(await trace(hidden))).toEqual(['STORED', 'NOT_IN_ITS_QUEUE']);
    await compact();
    const leader = cluster.node(cluster.leaders.get(shard)!);
    const { readEntry } = leader.host;
    leader.host.readEntry = (_shard, _index, done) => done(undefined, undefined);
    for (const [ack, offset] of [
      [early, '1'],
      [late, '3073'],
    ] as const) {
      const found = await trace(second(ack));
      expect(what(found)).toEqual(['STORED', 'VISIBLE']);
      expect(found.events[1]!.facts.offset).toBe(offset);
    }
    const { reason } = await refusal(trace(hidden));
    leader.host.readEntry = readEntry;
    expect(reason).toBe('MESSAGE_NOT_FOUND');
  });
});
