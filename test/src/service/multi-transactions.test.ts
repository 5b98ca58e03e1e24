/** Transactions over several queues, shards and nodes, and with offsets of a group. */
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { EMPTY_BYTES } from '../../../raft/types.ts';
import { encodeCommand } from '../../../src/broker/command-codec.ts';
import {
  bodies,
  connect,
  type Fetched,
  message,
  refusal,
  type TestClient,
  trailer,
  until,
} from '../../harness/service-client.ts';
import { commandOf, FakeCluster } from '../../harness/service-cluster.ts';

interface Prepared {
  readonly transaction_id: string;
  readonly parts: readonly { readonly queue: number; readonly first_message_id: string }[];
  readonly duplicate: boolean;
}

const COMMIT = 1;
const ROLLBACK = 2;
const QUEUES = [0, 1, 2];

let cluster: FakeCluster;
let client: TestClient;
let topic = '';
let group = '';

beforeAll(async () => {
  cluster = new FakeCluster(3, 3);
  await cluster.start({ firstCheckAfterMs: 1_000, checkIntervalMs: 5_000 });
});
afterAll(() => cluster.stop());

beforeEach(({ task }) => {
  topic = `topic-${task.id}`;
  group = `group-${task.id}`;
  cluster.createTopic(topic, 3);
  client = connect(cluster.node(1).port);
});
afterEach(() => {
  cluster.intercept = undefined;
  client.close();
});

const part = (queue: number) => ({ topic, queue, messages: [message(`half ${queue}`)] });

const prepare = (fields: object = {}): Promise<Prepared> =>
  client.call<Prepared>('Transactions/Prepare', {
    ...{ producer_group: group, parts: QUEUES.map(part) },
    ...fields,
  });

const end = (id: string, decision: number, fields: object = {}): Promise<object> =>
  client.call('Transactions/End', {
    ...{ producer_group: group, transaction_id: id, decision },
    ...fields,
  });

const visible = (): Promise<string[][]> =>
  Promise.all(
    QUEUES.map(async (queue) =>
      bodies((await client.call<Fetched>('Log/Fetch', { topic, queue, offset: 0 })).batches),
    ),
  );

const ALL = QUEUES.map((queue) => [`half ${queue}`]);
const NONE = QUEUES.map(() => []);
const held = (): number =>
  [...cluster.logs.values()].reduce((sum, { data }) => sum + data.counts().parts, 0);
const open = (): number =>
  [...cluster.logs.values()].reduce((sum, { data }) => sum + data.counts().transactions, 0);
const shardOf = (queue: number): number => cluster.node(1).meta.topic(topic)!.queues[queue]!.shard;

/** What the shard's log holds of one kind. */
const count = (shard: number, type: string): number =>
  cluster.logs.get(shard)!.entries.filter((entry) => commandOf(entry).type === type).length;

/** How often a participant asked for an outcome. */
const questions = (): number =>
  cluster.nodes
    .flatMap(({ peers }) => peers.sent)
    .filter(({ request }) => request.method.startsWith('.transaction/outcomes')).length;

describe('all or none', () => {
  test('invisible until the commit is acknowledged, then everywhere', async () => {
    const { transaction_id: id, parts } = await prepare();
    expect(parts.map(({ queue }) => queue)).toEqual(QUEUES);
    expect(new Set(QUEUES.map(shardOf)).size).toBe(3);
    expect(await visible()).toEqual(NONE);
    const ended = await end(id, COMMIT);
    expect(ended).toMatchObject({
      state: 2,
      parts: QUEUES.map((queue) => ({ topic, queue, base_offset: '0', count: 1 })),
    });
    expect(await visible()).toEqual(ALL);
    expect(await end(id, COMMIT)).toEqual(ended);
    expect((await refusal(end(id, ROLLBACK))).reason).toBe('TRANSACTION_ENDED');
    expect([held(), open()]).toEqual([0, 0]);
  });

  test('a rollback leaves nothing behind', async () => {
    const { transaction_id: id } = await prepare();
    expect(await end(id, ROLLBACK)).toMatchObject({ state: 3, parts: [] });
    expect(await visible()).toEqual(NONE);
    expect([held(), open()]).toEqual([0, 0]);
  });

  test('a Prepare is repeated, and ended, by the caller’s own id', async () => {
    const first = await prepare({ transaction_id: 'order-1' });
    const again = await prepare({ transaction_id: 'order-1' });
    expect(again).toMatchObject({ ...first, duplicate: true });
    expect(held()).toBe(3);
    expect(await end('order-1', COMMIT, { topic, queue: 0 })).toMatchObject({ state: 2 });
    expect(await visible()).toEqual(ALL);
    const other = prepare({ transaction_id: 'order-1', parts: [part(0), part(1)] });
    expect((await refusal(other)).reason).toBe('TRANSACTION_ID_REUSED');
  });

  test('one part that is refused takes the others back', async () => {
    const refusing = shardOf(2);
    cluster.intercept = (shard) => (shard === refusing ? { status: 'overloaded' } : undefined);
    const refused = await refusal(prepare({ transaction_id: 'x', parts: [part(0), part(2)] }));
    expect(refused.reason).toBe('TRANSACTION_NOT_PREPARED');
    expect(refused.error.message).toContain('SHARD_OVERLOADED');
    cluster.intercept = undefined;
    cluster.setLeader(refusing, cluster.leaders.get(refusing));
    await until(() => held() === 0 && open() === 0);
    const again = prepare({ transaction_id: 'x', parts: [part(0), part(2)] });
    expect((await refusal(again)).reason).toBe('TRANSACTION_ENDED');
    expect(await visible()).toEqual(NONE);
  });

  test('a part whose fate is not known is stored again, once', async () => {
    const shard = shardOf(1);
    let lost = 0;
    cluster.intercept = (at) => {
      if (at !== shard || lost > 0) return undefined;
      lost += 1;
      return { status: 'unknown', reason: 'deposed' };
    };
    const { transaction_id: id } = await prepare();
    expect(lost).toBe(1);
    await end(id, COMMIT);
    expect(await visible()).toEqual(ALL);
  });

  test('End answers when the last shard has applied it, also after a failover', async () => {
    const { transaction_id: id } = await prepare();
    const [coordinator, other] = [shardOf(0), shardOf(2)];
    const [leader, otherLeader] = [cluster.leaders.get(coordinator)!, cluster.leaders.get(other)!];
    cluster.setLeader(other, undefined);
    const waiting = refusal(end(id, COMMIT));
    await until(() => count(coordinator, 'end') > 0 && held() === 1);
    cluster.setLeader(coordinator, (leader % 3) + 1);
    expect((await waiting).reason).toBe('OUTCOME_UNKNOWN');
    const again = end(id, COMMIT);
    cluster.setLeader(other, otherLeader);
    expect(await again).toMatchObject({ state: 2, parts: [{}, {}, {}] });
    expect(await visible()).toEqual(ALL);
    await until(() => open() === 0);
    cluster.setLeader(coordinator, leader);
  });

  test('what came late is asked about after a minute, and dropped', async () => {
    const { transaction_id: id } = await prepare();
    await end(id, COMMIT);
    const [shard, term, index] = id.slice(3).split('.').map(Number);
    const transaction = { shard: shard!, term: term!, index: index! };
    const at = shardOf(1);
    const queueId = cluster.node(1).meta.topic(topic)!.queues[1]!.queueId;
    const late = { type: 'preparePart', transaction, part: 9, queueId, count: 1 } as const;
    cluster.append(at, encodeCommand(late), EMPTY_BYTES);
    expect(held()).toBe(1);
    cluster.timeMs += 60_000;
    cluster.append(at, encodeCommand({ type: 'deliver', batches: [] }), EMPTY_BYTES);
    await until(() => held() === 0);
    expect(await visible()).toEqual(ALL);
  });

  test('while nobody has decided, whoever asks is told to wait', async () => {
    const { transaction_id: id } = await prepare({ parts: [part(0), part(2)] });
    const before = questions();
    cluster.timeMs += 60_000;
    // Another shard than before: one that has asked waits for a while.
    const at = shardOf(2);
    cluster.append(at, encodeCommand({ type: 'deliver', batches: [] }), EMPTY_BYTES);
    await until(() => questions() > before);
    // By the end of whole calls the answer is there, too.
    expect(await visible()).toEqual(NONE);
    expect(held()).toBe(2);
    await end(id, ROLLBACK);
    expect(held()).toBe(0);
  });
});

describe('checks and operators', () => {
  test('a check brings the messages of every part, from wherever they lie', async () => {
    const { transaction_id: id } = await prepare();
    cluster.timeMs += 1_000;
    const { checks } = await client.call<{
      checks: {
        transaction_id: string;
        parts: { queue: number; messages: { body: Buffer }[] }[];
      }[];
    }>('Transactions/PollChecks', { producer_group: group });
    expect(checks).toMatchObject([{ transaction_id: id }]);
    const seen = checks[0]!.parts.map(({ queue, messages }) => [
      queue,
      ...messages.map(({ body }) => body.toString()),
    ]);
    expect(seen).toEqual(QUEUES.map((queue) => [queue, `half ${queue}`]));
    const { transactions } = await client.call<{ transactions: object[] }>('Transactions/List', {
      ...{ topic, producer_group: group },
    });
    expect(transactions).toMatchObject([{ transaction_id: id, parts: [{}, {}, {}] }]);
    const operator = { transaction_id: id, decision: ROLLBACK, operator: true };
    expect(await client.call('Transactions/End', operator)).toMatchObject({ state: 3 });
  });
});

describe('with offsets', () => {
  let source = '';
  beforeEach(async ({ task }) => {
    source = `source-${task.id}`;
    cluster.createTopic(source, 1);
    const messages = Array.from({ length: 10 }, (_, at) => message(`in ${at}`));
    await client.call('Log/Produce', { topic: source, queue: 0, messages });
  });

  const offsets = (from: number | undefined, offset: number, fields = {}) => [
    { group, topic: source, offsets: [{ queue: 0, from, offset }], ...fields },
  ];
  const commitOffset = (offset: number) =>
    client.call('Log/CommitOffset', { group, topic: source, offsets: [{ queue: 0, offset }] });
  const committed = async (): Promise<string | undefined> => {
    const request = { group, topic: source };
    const answer = await client.call<{ queues: { offset?: string }[] }>('Log/GetOffset', request);
    return answer.queues[0]!.offset;
  };

  test('what was read and what was made of it are one; in between nobody moves it', async () => {
    await commitOffset(2);
    const { transaction_id: id } = await prepare({ parts: [part(1)], offsets: offsets(2, 7) });
    const refused = await refusal(commitOffset(3));
    expect(refused.reason).toBe('OFFSETS_PENDING');
    expect(trailer(refused.error, 'transaction-id')).toBe(id);
    const kept = await refusal(client.call('Groups/Delete', { group }));
    expect(kept.reason).toBe('OFFSETS_PENDING');
    expect(kept.error.message).toContain(`transaction ${id} holds its offset`);
    expect(await committed()).toBe('2');
    expect(await end(id, COMMIT)).toMatchObject({ state: 2, parts: [{ queue: 1 }] });
    expect(await committed()).toBe('7');
    expect(await visible()).toEqual([[], ['half 1'], []]);
  });

  test('a former life that made the same of the same messages is refused', async () => {
    const work = { parts: [part(1)], offsets: offsets(undefined, 7) };
    const { transaction_id: id } = await prepare(work);
    const pending = await refusal(prepare(work));
    expect([pending.reason, trailer(pending.error, 'cause')]).toEqual([
      'TRANSACTION_NOT_PREPARED',
      'OFFSETS_PENDING',
    ]);
    await end(id, COMMIT);
    const late = await refusal(prepare(work));
    expect([late.reason, trailer(late.error, 'cause')]).toEqual([
      'TRANSACTION_NOT_PREPARED',
      'OFFSET_MOVED',
    ]);
    expect(await visible()).toEqual([[], ['half 1'], []]);
    await until(() => held() === 0 && open() === 0);
  });

  test('a rollback moves none', async () => {
    await commitOffset(2);
    const { transaction_id: id } = await prepare({ parts: [part(0)], offsets: offsets(2, 7) });
    await end(id, ROLLBACK);
    expect(await committed()).toBe('2');
    await commitOffset(3);
  });

  const twice = [...offsets(0, 1), ...offsets(0, 1)];
  test.each<[string, string, () => object]>([
    ['INVALID_REQUEST', 'not above', () => ({ offsets: offsets(5, 5) })],
    ['OFFSET_PAST_END', 'end_offset is 10', () => ({ offsets: offsets(0, 11) })],
    ['INVALID_NAME', 'group', () => ({ offsets: offsets(0, 1, { group: 'a b' }) })],
    ['TOPIC_NOT_FOUND', 'nowhere', () => ({ offsets: offsets(0, 1, { topic: 'nowhere' }) })],
    ['INVALID_REQUEST', 'no queue', () => ({ offsets: offsets(0, 1, { offsets: [] }) })],
    [
      'INVALID_REQUEST',
      'one group',
      () => ({ offsets: [...offsets(0, 1), ...offsets(0, 1, { group: 'other' })] }),
    ],
    ['INVALID_REQUEST', 'a topic twice', () => ({ offsets: [...offsets(0, 1), ...offsets(1, 2)] })],
    ['INVALID_REQUEST', 'two parts for one queue', () => ({ parts: [part(0), part(0)] })],
    ['INVALID_REQUEST', 'needs one part', () => ({ parts: [], offsets: twice })],
    ['QUEUE_REQUIRED', 'name the queue', () => ({ transaction_id: 'x', parts: free() })],
    ['INVALID_REQUEST', 'maxPartsPerTransaction', () => ({ parts: Array(65).fill(part(0)) })],
  ])('%s: %s', async (reason, text, fields) => {
    const refused = await refusal(prepare(fields()));
    expect([refused.reason, refused.error.message]).toEqual([
      reason,
      expect.stringContaining(text),
    ]);
    expect(held()).toBe(0);
  });

  const free = () => [part(0), { topic, messages: [message('anywhere')] }];
});
