/** Quotas of principals, over real gRPC: what is refused, what waits, and who is exempt. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { EMPTY_BYTES } from '../../../raft/types.ts';
import { QUOTAS_LEVEL } from '../../../src/broker/feature-level.ts';
import { connect as connectClient } from '../../../src/client/index.ts';
import { encodeMetaCommand } from '../../../src/cluster/meta-codec.ts';
import type { QuotaLimits, QuotaName } from '../../../src/cluster/quota-api.ts';
import { NO_METERS } from '../../../src/service/meters.ts';
import {
  type Ack,
  connect,
  type Fetched,
  message,
  refusal,
  type TestClient,
  trailer,
  until,
} from '../../harness/service-client.ts';
import { FakeCluster } from '../../harness/service-cluster.ts';
import { ADMIN, grant, TestIssuer } from '../../harness/tokens.ts';

let cluster: FakeCluster;
let issuer: TestIssuer;
let open: TestClient[];
let reached: QuotaName[];

beforeEach(() => begin());
afterEach(async () => {
  for (const client of open) client.close();
  await cluster.stop();
});

async function begin(featureLevel?: number): Promise<void> {
  cluster = new FakeCluster(3, 3, featureLevel);
  issuer = new TestIssuer();
  cluster.auth = issuer.auth;
  reached = [];
  const quotaReached = (quota: QuotaName) => void reached.push(quota);
  cluster.metersOf = () => ({ ...NO_METERS, quotaReached });
  open = [];
  await cluster.start();
  cluster.createTopic('orders', 3);
  grant(cluster, 'app', 'topic', '*', 'produce', 'fetch', 'admin');
  grant(cluster, 'app', 'group', '*', 'commit', 'txn');
}

/** Of the node that leads no shard of its topic, and forwards. */
async function clientOf(principal: string, node = 3): Promise<TestClient> {
  const client = connect(cluster.node(node).port, await issuer.token(principal));
  open.push(client);
  return client;
}

function setQuota(principal: string, limits: QuotaLimits): void {
  const head = encodeMetaCommand({ type: 'setQuota', quota: { principal, limits } });
  cluster.append(0, head, EMPTY_BYTES);
}

async function createTopic(client: TestClient, name: string): Promise<void> {
  const created = client.call('Admin/CreateTopic', { name });
  await until(() => cluster.node(1).meta.pendingTopics().length > 0);
  cluster.reconcile();
  await created;
}

const produce = (text = 'x') => ({ topic: 'orders', queue: 0, messages: [message(text)] });
const KILOBYTE = 'k'.repeat(1_000);
const LONG = 'l'.repeat(400);

describe('calls', () => {
  it('over the rate of bytes are refused before anything is stored, and told to wait', async () => {
    const client = await clientOf('app');
    setQuota('app', { producedBytesPerSecond: 1_000 });
    for (let at = 0; at < 2; at += 1) await client.call<Ack>('Log/Produce', produce(LONG));
    const before = cluster.proposals;
    const { error, reason } = await refusal(client.call('Log/Produce', produce(LONG)));
    expect([reason, error.code]).toEqual(['QUOTA_EXCEEDED', 8]);
    expect(error.details).toMatch(/^the quota of "app" .* 1000 bytes produced per second: wait/);
    expect(trailer(error, 'retryable')).toBe('true');
    const waitMs = Number(trailer(error, 'retry-after-ms'));
    expect(waitMs).toBeGreaterThan(0);
    expect(waitMs).toBeLessThan(500);
    expect(cluster.proposals).toBe(before);
    expect(reached).toEqual(['producedBytesPerSecond']);
    await new Promise((resolve) => setTimeout(resolve, waitMs + 5));
    await client.call<Ack>('Log/Produce', produce());
  });

  it('over the rate of requests are refused, whatever they ask', async () => {
    const client = await clientOf('app');
    setQuota('*', { requestsPerSecond: 1 });
    await client.call('Admin/ListTopics', {});
    for (const name of ['Admin/ListTopics', 'Log/Fetch', 'Deliveries/Receive']) {
      const { reason } = await refusal(client.call(name, { topic: 'orders', group: 'g' }));
      expect(reason, name).toBe('QUOTA_EXCEEDED');
    }
    const { reason } = await refusal((await clientOf('app')).call('Groups/List', {}));
    expect(reason).toBe('QUOTA_EXCEEDED');
  });

  it('of others, of other nodes and of admins are let through', async () => {
    setQuota('*', { requestsPerSecond: 1, producedBytesPerSecond: 1, topics: 0 });
    const client = await clientOf('app');
    await client.call('Log/Produce', produce(KILOBYTE));
    expect((await refusal(client.call('Log/Produce', produce()))).reason).toBe('QUOTA_EXCEEDED');
    await (await clientOf('other')).call('Admin/ListTopics', {});
    await (await clientOf('app', 2)).call('Log/Produce', produce());
    const root = await clientOf(ADMIN);
    for (let at = 0; at < 5; at += 1) await root.call('Log/Produce', produce(KILOBYTE));
    await createTopic(root, 'own');
  });

  it('that read are refused once more was read than may be', async () => {
    const client = await clientOf('app');
    await client.call('Log/Produce', produce(KILOBYTE));
    setQuota('app', { fetchedBytesPerSecond: 100 });
    const fetch = { topic: 'orders', queue: 0 };
    const first = await client.call<Fetched>('Log/Fetch', fetch);
    expect(first.batches).toHaveLength(1);
    const { error, reason } = await refusal(client.call('Log/Fetch', fetch));
    expect(reason).toBe('QUOTA_EXCEEDED');
    expect(Number(trailer(error, 'retry-after-ms'))).toBeGreaterThan(5_000);
    const receive = { topic: 'orders', group: 'g' };
    expect((await refusal(client.call('Deliveries/Receive', receive))).reason).toBe(reason);
    await client.call('Log/Produce', produce());
  });
});

interface StreamAnswer {
  readonly request_id: string;
  readonly ack?: Ack;
  readonly error?: { readonly reason: string; readonly retry_after_ms: number };
}

describe('streams', () => {
  it('of producers go on, and answer the request with the error', async () => {
    const stream = (await clientOf('app')).stream<object, StreamAnswer>('Log/ProduceStream');
    stream.on('error', () => undefined);
    setQuota('app', { producedBytesPerSecond: 1_000 });
    const answers: StreamAnswer[] = [];
    const answered = new Promise<void>((resolve) => {
      stream.on('data', (answer: StreamAnswer) => {
        if (answers.push(answer) === 2) resolve();
      });
    });
    for (const request_id of [1, 2]) stream.write({ request_id, request: produce(KILOBYTE) });
    await answered;
    expect(answers.map(({ error }) => error?.reason)).toEqual([undefined, 'QUOTA_EXCEEDED']);
    const waitMs = Number(answers[1]!.error!.retry_after_ms);
    expect(waitMs).toBeGreaterThan(0);
    await new Promise((resolve) => setTimeout(resolve, waitMs + 5));
    const again = new Promise<StreamAnswer>((resolve) => stream.once('data', resolve));
    stream.write({ request_id: 3, resume: true, request: produce() });
    expect(await again).toMatchObject({ request_id: '3', ack: { base_offset: '1' } });
    stream.end();
  });

  it('are requests themselves', async () => {
    setQuota('app', { requestsPerSecond: 1 });
    const client = await clientOf('app');
    await client.call('Admin/ListTopics', {});
    const stream = client.stream('Log/Subscribe');
    stream.resume();
    const reason = await new Promise((resolve) => {
      stream.on('error', (error) =>
        resolve(
          (error as unknown as Parameters<typeof trailer>[0]).metadata.get('holdfast-reason')[0],
        ),
      );
    });
    expect(reason).toBe('QUOTA_EXCEEDED');
  });

  it('of subscribers wait, and lose nothing', async () => {
    const client = await clientOf('app');
    for (let at = 0; at < 6; at += 1) await client.call('Log/Produce', produce(KILOBYTE));
    setQuota('app', { fetchedBytesPerSecond: 10_000 });
    const stream = client.stream<object, { batches: { count: number }[] }>('Log/Subscribe');
    const times: number[] = [];
    const all = new Promise<void>((resolve, reject) => {
      stream.on('error', reject);
      stream.on('data', () => {
        if (times.push(performance.now()) === 21) resolve();
      });
    });
    stream.write({ start: { topic: 'orders', queues: [{ queue: 0, offset: 0 }], credit: 1 } });
    // One message at a time: each comes with the credit for the next.
    stream.on('data', () => void stream.write({ credit: 1 }));
    for (let at = 0; at < 15; at += 1) await client.call('Log/Produce', produce(KILOBYTE));
    await all;
    stream.cancel();
    // 21 KB at 10 KB a second, the first of them at once.
    expect(times.at(-1)! - times[0]!).toBeGreaterThan(900);
    expect(reached).toContain('fetchedBytesPerSecond');
  });
});

describe('our client', () => {
  it('waits as it is told, stores everything once and reads it all', async () => {
    setQuota('app', { producedBytesPerSecond: 10_000, fetchedBytesPerSecond: 10_000 });
    const servers = `127.0.0.1:${cluster.node(3).port}`;
    await using client = connectClient({ servers, token: await issuer.token('app') });
    await using producer = client.producer({ topic: 'orders', maxBatchBytes: 1_500 });
    const beganMs = performance.now();
    const sends = Array.from({ length: 20 }, (_, at) =>
      producer.send({ body: Buffer.from(`${at}:${KILOBYTE}`), orderingKey: 'one' }),
    );
    await Promise.all(sends);
    expect(performance.now() - beganMs).toBeGreaterThan(900);
    expect(reached).toContain('producedBytesPerSecond');
    await using consumer = client.consumer({ topic: 'orders', from: 'earliest' });
    const read: string[] = [];
    for await (const { body } of consumer) {
      read.push(Buffer.from(body).toString().split(':')[0]!);
      if (read.length === 20) break;
    }
    expect(read).toEqual(Array.from({ length: 20 }, (_, at) => String(at)));
  });
});

describe('counts', () => {
  it('of topics are those that the principal created', async () => {
    setQuota('app', { topics: 1 });
    const client = await clientOf('app');
    await createTopic(client, 'first');
    const { error, reason } = await refusal(client.call('Admin/CreateTopic', { name: 'second' }));
    expect([reason, error.code]).toEqual(['QUOTA_FULL', 8]);
    expect(trailer(error, 'retryable')).toBe('false');
    expect(error.details).toMatch(/"app" is reached \(topics: 1\)/);
    expect(reached).toEqual(['topics']);
  });

  it('of transactions are those without an outcome in the shard', async () => {
    setQuota('app', { openTransactions: 1 });
    const client = await clientOf('app');
    const part = (queue: number) => ({ topic: 'orders', queue, messages: [message('half')] });
    const prepare = (transaction_id: string, ...queues: number[]) =>
      client.call<{ transaction_id: string; duplicate: boolean }>('Transactions/Prepare', {
        ...{ producer_group: 'p', transaction_id, parts: queues.map(part) },
      });
    const { transaction_id } = await prepare('one', 0);
    const before = cluster.proposals;
    const { error, reason } = await refusal(prepare('two', 0));
    expect([reason, trailer(error, 'retryable')]).toEqual(['QUOTA_FULL', 'false']);
    expect(error.details).toMatch(/in each shard: 1\)/);
    expect((await refusal(prepare('two', 0, 1))).reason).toBe('QUOTA_FULL');
    expect(cluster.proposals).toBe(before);
    expect(reached).toEqual(['openTransactions', 'openTransactions']);
    // The same again is no other one, and another shard has its own count.
    expect((await prepare('one', 0)).duplicate).toBe(true);
    await prepare('three', 1);
    await client.call('Transactions/End', {
      ...{ producer_group: 'p', transaction_id, decision: 'COMMIT' },
    });
    await prepare('four', 0);
  });
});

describe('the calls about them', () => {
  const quota = { principal: 'app', requests_per_second: '5', topics: '0' };

  it('set, list and remove, for those who manage the cluster', async () => {
    const root = await clientOf(ADMIN);
    await root.call('Admin/SetQuota', { quota });
    await root.call('Admin/SetQuota', { quota: { principal: '*', open_transactions: 7 } });
    const listed = await root.call<{ quotas: object[] }>('Admin/ListQuotas', {});
    expect(listed.quotas).toEqual([
      { principal: '*', open_transactions: '7', _open_transactions: 'open_transactions' },
      expect.objectContaining(quota),
    ]);
    const page = { page_size: 1, page_token: Buffer.from('*').toString('base64url') };
    const next = await root.call<{ quotas: object[] }>('Admin/ListQuotas', page);
    expect(next.quotas).toMatchObject([{ principal: 'app' }]);
    const app = await clientOf('app');
    expect((await refusal(app.call('Admin/CreateTopic', { name: 'n' }))).reason).toBe('QUOTA_FULL');
    await root.call('Admin/RemoveQuota', { principal: 'app' });
    const after = await root.call<{ quotas: object[] }>('Admin/ListQuotas', {});
    expect(after.quotas).toHaveLength(1);
  });

  it('are refused while older builds may be about', async () => {
    await cluster.stop();
    await begin(QUOTAS_LEVEL - 1);
    const root = await clientOf(ADMIN);
    for (const [name, request] of [
      ['Admin/SetQuota', { quota }],
      ['Admin/RemoveQuota', { principal: 'app' }],
    ] as const) {
      expect((await refusal(root.call(name, request))).reason).toBe('UPGRADE_UNFINISHED');
    }
    await createTopic(await clientOf('app'), 'early');
    expect(cluster.node(1).meta.topic('early')).not.toHaveProperty('owner');
  });
});
