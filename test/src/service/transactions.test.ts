import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest';
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
import { FakeCluster } from '../../harness/service-cluster.ts';

interface Prepared {
  readonly transaction_id: string;
  readonly parts: readonly { readonly queue: number; readonly first_message_id: string }[];
  readonly first_check_at_ms: string;
  readonly duplicate: boolean;
}
interface Check {
  readonly transaction_id: string;
  readonly caller_transaction_id: string;
  readonly check_count: number;
  readonly parts: readonly {
    readonly topic: string;
    readonly queue: number;
    readonly first_message_id: string;
    readonly messages: readonly { readonly body: Buffer }[];
  }[];
}
interface Ended {
  readonly state: number;
  readonly parts: readonly { readonly queue: number; readonly base_offset: string }[];
}

interface Open {
  readonly transaction_id: string;
  readonly state: number;
  readonly check_count: number;
  readonly parts: readonly { readonly queue: number; readonly first_message_id: string }[];
}

const MAX_CHECKS = 2;
const COMMIT = 1;
const ROLLBACK = 2;
const UNKNOWN = 3;
const PARKED = 4;

let cluster: FakeCluster;
let client: TestClient;
let topic = '';
let group = '';

beforeAll(async () => {
  cluster = new FakeCluster(3, 3);
  const times = { firstCheckAfterMs: 1_000, checkIntervalMs: 5_000 };
  await cluster.start({ ...times, maxChecksPerTransaction: MAX_CHECKS });
});
afterAll(() => cluster.stop());

beforeEach(({ task }) => {
  topic = `topic-${task.id}`;
  group = `group-${task.id}`;
  cluster.createTopic(topic, 3);
  client = connect(cluster.node(1).port);
});
afterEach(() => client.close());

const prepare = (fields: object = {}, part: object = {}): Promise<Prepared> =>
  client.call<Prepared>('Transactions/Prepare', {
    producer_group: group,
    parts: [{ topic, queue: 0, messages: [message('half')], ...part }],
    ...fields,
  });

const end = (transactionId: string, decision: number, fields: object = {}): Promise<Ended> =>
  client.call<Ended>('Transactions/End', {
    ...{ producer_group: group, transaction_id: transactionId, decision },
    ...fields,
  });

const poll = (fields: object = {}): Promise<{ checks: Check[] }> =>
  client.call('Transactions/PollChecks', { producer_group: group, ...fields });

interface Listed {
  readonly transactions: readonly Open[];
  readonly next_page_token: string;
}
const list = (fields: object = {}): Promise<Listed> =>
  client.call('Transactions/List', { producer_group: group, ...fields });

const countOf = (producerGroup: string): number => {
  for (const { data } of cluster.logs.values()) {
    for (const one of data.openTransactions(0)) {
      if (one.producerGroup === producerGroup) return one.checkCount;
    }
  }
  throw new Error(`${producerGroup} has no transaction without an outcome`);
};

/** As the sweeper of the leader would, had the checks been delivered. */
const park = async (id: string): Promise<void> => {
  const [shard, term, index] = id.slice(3).split('.').map(Number);
  const { data } = cluster.logs.get(shard!)!;
  while (data.dueToPark(Number.MAX_SAFE_INTEGER, 1).length === 0) {
    cluster.timeMs += 5_000;
    await poll();
    await new Promise(setImmediate);
  }
  cluster.timeMs += 5_000;
  const transactions = [{ term: term!, index: index! }];
  cluster.append(shard!, encodeCommand({ type: 'park', transactions }), EMPTY_BYTES);
};

const visible = async (queue: number): Promise<string[]> =>
  bodies((await client.call<Fetched>('Log/Fetch', { topic, queue, offset: 0 })).batches);

describe('prepare and end', () => {
  test('invisible until the commit, on every queue and through every node', async () => {
    for (const queue of [0, 1, 2]) {
      const prepared = await prepare({}, { queue });
      expect(prepared.transaction_id).toMatch(/^hf\.[1-3]\.7\.[0-9]+$/);
      expect(await visible(queue)).toEqual([]);
      const ended = await end(prepared.transaction_id, COMMIT);
      expect(ended).toMatchObject({ state: 2, parts: [{ queue, base_offset: '0' }] });
      expect(await visible(queue)).toEqual(['half']);
      expect(await end(prepared.transaction_id, COMMIT)).toEqual(ended);
    }
  });

  test('a rolled back half is never seen; the opposite End is refused', async () => {
    const { transaction_id: id } = await prepare();
    expect(await end(id, ROLLBACK)).toMatchObject({ state: 3, parts: [] });
    expect(await visible(0)).toEqual([]);
    const { reason, error } = await refusal(end(id, COMMIT));
    expect(reason).toBe('TRANSACTION_ENDED');
    expect(trailer(error, 'transaction-state')).toBe('ROLLED_BACK');
  });

  test('a caller’s own id: repeated Prepare, End by topic and queue', async () => {
    const first = await prepare({ transaction_id: 'order-1' });
    const again = await prepare({ transaction_id: 'order-1' });
    expect(again).toMatchObject({ transaction_id: first.transaction_id, duplicate: true });
    expect((await refusal(end('order-1', COMMIT))).reason).toBe('QUEUE_REQUIRED');
    expect(await end('order-1', COMMIT, { topic, queue: 0 })).toMatchObject({ state: 2 });
    expect(await visible(0)).toEqual(['half']);
  });

  test.each([
    ['INVALID_REQUEST', () => prepare({ parts: [] })],
    ['INVALID_REQUEST', () => prepare({ producer_group: '' })],
    ['EMPTY_BATCH', () => prepare({}, { messages: [] })],
    ['TOPIC_NOT_FOUND', () => prepare({}, { topic: 'nowhere' })],
    ['EMPTY_BATCH', () => prepare({ parts: [{ topic }, { topic }] })],
    ['QUEUE_REQUIRED', () => prepare({ transaction_id: 'x' }, { queue: undefined })],
    ['INVALID_NAME', () => prepare({ transaction_id: 'hf.1.2.3' })],
    ['INVALID_NAME', () => prepare({ transaction_id: 'x'.repeat(65) })],
    ['TRANSACTION_NOT_FOUND', () => end('hf.1.7.999999', COMMIT)],
    ['TRANSACTION_NOT_FOUND', () => end('hf.77.1.1', COMMIT)],
    ['TRANSACTION_NOT_FOUND', () => end('never', COMMIT, { topic, queue: 0 })],
    ['INVALID_REQUEST', () => end('hf.1.1.1', 0)],
  ])('%s', async (reason, call) => {
    expect((await refusal(call())).reason).toBe(reason);
  });

  test('another producer group may not end it', async () => {
    const { transaction_id: id } = await prepare();
    const foreign = end(id, COMMIT, { producer_group: 'somebody-else' });
    expect((await refusal(foreign)).reason).toBe('TRANSACTION_FOREIGN');
  });
});

describe('the operator', () => {
  test('lists what has no outcome, page by page', async () => {
    const ids: string[] = [];
    for (const queue of [0, 1, 2, 0]) ids.push((await prepare({}, { queue })).transaction_id);
    const seen: string[] = [];
    let pages = 0;
    for (let token = ''; pages === 0 || token !== ''; pages += 1) {
      const page = await list({ page_size: 3, page_token: token });
      seen.push(...page.transactions.map((one) => one.transaction_id));
      token = page.next_page_token;
    }
    expect([seen.sort(), pages]).toEqual([ids.sort(), 2]);
    expect((await list({ topic: 'another' })).transactions).toEqual([]);
    expect((await list({ state: PARKED })).transactions).toEqual([]);
    cluster.timeMs += 250;
    expect((await list({ topic, state: 1, page_size: 4 })).transactions[0]).toMatchObject({
      ...{ producer_group: group, state: 1, check_count: 0, max_checks: MAX_CHECKS, age_ms: '250' },
      parts: [{ topic, count: 1, first_message_id: expect.stringMatching(/-0$/) }],
    });
  });

  test('resumes a parked one: asked about at once', async () => {
    const { transaction_id: id } = await prepare();
    await park(id);
    expect((await list({ state: PARKED })).transactions).toMatchObject([
      { transaction_id: id, state: PARKED, check_count: MAX_CHECKS, next_check_at_ms: '0' },
    ]);
    expect((await poll()).checks).toEqual([]);
    expect(await end(id, UNKNOWN)).toMatchObject({ state: PARKED, parts: [] });
    const shards = await client.call<{ shards: { parked_transactions: number }[] }>(
      'Admin/DescribeCluster',
      {},
    );
    expect(shards.shards.length).toBeGreaterThan(0);
    await client.call('Transactions/Resume', { transaction_id: id });
    expect((await poll()).checks).toMatchObject([{ transaction_id: id, check_count: 1 }]);
  });

  test.each([
    [COMMIT, 2, ['half']],
    [ROLLBACK, 3, []],
  ])('decides a parked one for good: %s', async (decision, state, seen) => {
    const { transaction_id: id } = await prepare();
    await park(id);
    const decided = await client.call('Transactions/End', {
      ...{ transaction_id: id, decision, operator: true },
    });
    expect(decided).toMatchObject({ state });
    expect(await visible(0)).toEqual(seen);
    expect((await list()).transactions).toEqual([]);
    expect((await refusal(end(id, decision === COMMIT ? ROLLBACK : COMMIT))).reason).toBe(
      'TRANSACTION_ENDED',
    );
  });

  const operator = (fields: object) =>
    client.call('Transactions/End', { operator: true, decision: COMMIT, ...fields });
  test.each([
    ['INVALID_REQUEST', 'COMMIT or ROLLBACK', () => operator({ decision: UNKNOWN })],
    ['INVALID_REQUEST', 'leave producer_group', () => operator({ producer_group: 'g' })],
    ['INVALID_REQUEST', '"order-1"', () => operator({ transaction_id: 'order-1' })],
    ['TRANSACTION_NOT_FOUND', '', () => operator({ transaction_id: 'hf.1.7.99999' })],
    ['INVALID_REQUEST', 'UNDECIDED or PARKED', () => list({ state: 2 })],
    ['NUMBER_OUT_OF_RANGE', 'page_size', () => list({ page_size: 1_001 })],
    ['INVALID_REQUEST', 'page_token', () => list({ page_token: 'x' })],
    ['INVALID_REQUEST', '"mine"', () => resume('mine')],
    ['TRANSACTION_NOT_FOUND', '', () => resume('hf.0.7.1')],
    ['TRANSACTION_NOT_FOUND', '', () => resume('hf.2.7.99999')],
  ])('%s: %s', async (reason, text, call) => {
    const refused = await refusal(call());
    expect(refused.reason).toBe(reason);
    expect(refused.error.message).toContain(text);
  });

  const resume = (id: string) => client.call('Transactions/Resume', { transaction_id: id });
});

describe('checks', () => {
  test('due ones come from whichever node leads them, with their messages', async () => {
    for (const queue of [0, 1, 2]) await prepare({}, { queue, messages: [message(`q${queue}`)] });
    expect((await poll()).checks).toEqual([]);
    cluster.timeMs += 1_000;
    const seen = new Map<number, Check>();
    while (seen.size < 3) {
      for (const check of (await poll({ max_wait_ms: 1_000 })).checks) {
        seen.set(check.parts[0]!.queue, check);
      }
    }
    for (const [queue, check] of seen) {
      expect(check).toMatchObject({ check_count: 1 });
      expect(check.parts[0]!.messages[0]!.body.toString()).toBe(`q${queue}`);
      expect(check.parts[0]!.topic).toBe(topic);
    }
    expect((await poll()).checks).toEqual([]);
  });

  test('a leased check is offered to nobody else; unknown comes again later', async () => {
    const { transaction_id: id } = await prepare();
    cluster.timeMs += 1_000;
    expect((await poll({ check_lease_ms: 60_000 })).checks).toHaveLength(1);
    cluster.timeMs += 30_000;
    expect((await poll()).checks).toEqual([]);
    expect(await end(id, UNKNOWN)).toMatchObject({ state: 1 });
    cluster.timeMs += 31_000;
    const { checks } = await poll();
    expect(checks).toMatchObject([{ transaction_id: id, check_count: 2 }]);
  });

  test('one that reached nobody does not count: a cancelled poll, a lost answer', async () => {
    const { transaction_id: id } = await prepare({}, { queue: 1 });
    cluster.timeMs += 1_000;
    const proposals = vi.fn();
    cluster.intercept = (shard) => {
      proposals(shard);
      cancelled.cancel();
      return undefined;
    };
    const cancelled = client.start('Transactions/PollChecks', { producer_group: group });
    await expect(cancelled.answer).rejects.toThrow();
    cluster.intercept = undefined;
    expect(proposals).toHaveBeenCalledTimes(1);
    cluster.timeMs += 5_000;
    for (const node of cluster.nodes) {
      node.peers.fate = (_to, { method }) => {
        return method.startsWith('.checks/') ? { status: 'lost' } : undefined;
      };
    }
    await poll();
    for (const node of cluster.nodes) node.peers.fate = undefined;
    cluster.timeMs += 5_000;
    const before = countOf(group);
    expect((await poll()).checks).toMatchObject([{ transaction_id: id }]);
    await until(() => countOf(group) === before + 1);
    expect(before).toBeLessThanOrEqual(1);
  });

  test('delivered ones count, on a stream as well; then it is full', async () => {
    const stream = client.serverStream<Check>('Transactions/WatchChecks', {
      producer_group: group,
    });
    const seen: number[] = [];
    stream.on('data', (check: Check) => seen.push(check.check_count));
    stream.on('error', () => {});
    await prepare();
    for (let count = 1; count <= MAX_CHECKS; count += 1) {
      cluster.timeMs += 5_000;
      await prepare({ producer_group: 'wakes the stream' });
      await until(() => countOf(group) === count);
    }
    cluster.timeMs += 5_000;
    await prepare({ producer_group: 'wakes the stream' });
    expect((await poll()).checks).toEqual([]);
    expect(seen).toEqual([1, 2]);
    stream.cancel();
    await until(() => cluster.node(1).service.stats().streams === 0);
  });

  test('a waiting poll wakes when a check falls due, and leaves nothing behind', async () => {
    const waiting = poll({ max_wait_ms: 20_000 });
    const polls = (): number =>
      cluster.nodes.reduce((sum, node) => sum + node.service.stats().longPolls, 0);
    await until(() => polls() === 3);
    cluster.timeMs += 5_000;
    await prepare();
    cluster.timeMs += 1_000;
    await prepare({}, { queue: 1 });
    const { checks } = await waiting;
    expect(checks.length).toBeGreaterThan(0);
    await until(() => polls() === 0);
  });

  test('waiting polls do not look again at every message', async () => {
    const POLLS = 10;
    const MESSAGES = 400;
    const request = { producer_group: group, max_checks: 1, max_wait_ms: 20_000 };
    const waiting = Array.from({ length: POLLS }, () =>
      client.start('Transactions/PollChecks', request),
    );
    const ended = Promise.allSettled(waiting.map(({ answer }) => answer));
    const polls = (): number =>
      cluster.nodes.reduce((sum, node) => sum + node.service.stats().longPolls, 0);
    await until(() => polls() === 3 * POLLS);
    const looks = [...cluster.logs.values()].map(({ data }) => vi.spyOn(data, 'dueChecks'));
    const produce = { topic, queue: 0, messages: [message('x')] };
    for (let i = 0; i < MESSAGES; i += 1) await client.call('Log/Produce', produce);
    const count = looks.reduce((sum, { mock }) => sum + mock.calls.length, 0);
    for (const look of looks) look.mockRestore();
    expect(count).toBeLessThan((3 * POLLS * MESSAGES) / 2);
    for (const { cancel } of waiting) cancel();
    await ended;
    await until(() => polls() === 0);
  });

  test('WatchChecks streams them, one per frame', async () => {
    const stream = client.serverStream<Check>('Transactions/WatchChecks', {
      producer_group: group,
      check_lease_ms: 1_000,
    });
    const seen: Check[] = [];
    stream.on('data', (check: Check) => seen.push(check));
    stream.on('error', () => {});
    const { transaction_id: id } = await prepare();
    cluster.timeMs += 1_000;
    await prepare({}, { queue: 2 });
    await until(() => seen.length > 0);
    expect(seen[0]!.transaction_id).toBe(id);
    stream.cancel();
    await until(() => cluster.node(1).service.stats().streams === 0);
  });

  test('a node that is down is left out', async () => {
    await prepare({}, { queue: 0 });
    cluster.timeMs += 1_000;
    cluster.node(1).peers.down.add(2);
    cluster.node(1).peers.down.add(3);
    expect((await poll({ max_wait_ms: 100 })).checks.length).toBeLessThanOrEqual(1);
    cluster.node(1).peers.down.clear();
  });
});
