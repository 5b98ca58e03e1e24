import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest';
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

const COMMIT = 1;
const ROLLBACK = 2;
const UNKNOWN = 3;

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
    ['MULTI_QUEUE_TRANSACTION', () => prepare({ parts: [{ topic }, { topic }] })],
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
