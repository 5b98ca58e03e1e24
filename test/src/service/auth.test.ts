/** A cluster that asks who calls: nobody gets further than rules allow, by whatever way. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { FIRST_LEVEL } from '../../../src/broker/feature-level.ts';
import { encodeMetaCommand } from '../../../src/cluster/meta-codec.ts';
import { PERMISSIONS } from '../../../src/security/permissions.ts';
import { Proto } from '../../../src/service/proto.ts';
import {
  type Ack,
  bodies,
  connect,
  type Fetched,
  message,
  refusal,
  type TestClient,
  until,
} from '../../harness/service-client.ts';
import { FakeCluster } from '../../harness/service-cluster.ts';
import { ADMIN, grant, revoke, TestIssuer } from '../../harness/tokens.ts';

const proto = new Proto();
const NO_BYTES = new Uint8Array(0);

let cluster: FakeCluster;
let issuer: TestIssuer;
let open: TestClient[];
let logged: { fields: object; text: string }[];

beforeEach(async () => {
  cluster = new FakeCluster(3, 3);
  issuer = new TestIssuer();
  cluster.auth = issuer.auth;
  logged = [];
  const note = (fields: object, text: string) => void logged.push({ fields, text });
  cluster.logger = { info: note, warn: note, error: note };
  open = [];
  await cluster.start();
  cluster.createTopic('orders', 3);
});
afterEach(async () => {
  for (const client of open) client.close();
  await cluster.stop();
});

/** Of the node that leads no shard of its topic, and forwards. */
async function clientOf(principal: string, node = 3): Promise<TestClient> {
  const client = connect(cluster.node(node).port, await issuer.token(principal));
  open.push(client);
  return client;
}

function stranger(): TestClient {
  const client = connect(cluster.node(1).port);
  open.push(client);
  return client;
}

/** Enough of a request for the call to find out what it needs. */
const SAMPLES: Readonly<Record<string, object>> = {
  'Log/Produce': { messages: [message('x')] },
  'Log/ProduceStream': { request_id: 1, request: { topic: 'orders', messages: [message('x')] } },
  'Log/Subscribe': { start: { topic: 'orders', group: 'g', credit: 1 } },
  'Transactions/Prepare': { parts: [{ topic: 'orders', messages: [message('x')] }] },
  'Transactions/End': { transaction_id: 'hf.1.1.1', decision: 'COMMIT' },
  'Groups/Join': { topics: ['orders'] },
  'Groups/Heartbeat': { member_id: 'm' },
  'Groups/Leave': { member_id: 'm' },
  'Admin/CreateTopic': { name: 'new' },
  'Admin/DescribeTopic': { name: 'orders' },
  'Admin/UpdateTopic': { name: 'orders' },
  'Admin/DeleteTopic': { name: 'orders' },
};
const NAMES = { topic: 'orders', group: 'g', producer_group: 'p' };

const calls = [...PERMISSIONS]
  .filter(([path]) => path.startsWith('/holdfast'))
  .map(([path, permission]) => ({ name: path.slice('/holdfast.v1.'.length), ...permission }));

interface Element {
  readonly error?: { readonly reason: string };
}

/** How a call ends: with `ok`, or the reason of its refusal, also in a stream's element. */
async function outcomeOf(client: TestClient, name: string): Promise<string> {
  const { requestStream, responseStream } = proto.method(`/holdfast.v1.${name}`);
  const request = { ...NAMES, ...SAMPLES[name] };
  if (!(requestStream || responseStream)) {
    return client.call(name, request).then(
      () => 'ok',
      (error: unknown) => reasonOf(error),
    );
  }
  const written = requestStream ? client.stream<object, Element>(name) : undefined;
  const stream = written ?? client.serverStream<Element>(name, request);
  const ended = new Promise<string>((resolve) => {
    stream.on('data', ({ error }: Element) => resolve(error?.reason ?? 'ok'));
    stream.on('error', (error) => resolve(reasonOf(error)));
  });
  written?.write(request);
  return ended.finally(() => stream.cancel());
}

function reasonOf(error: unknown): string {
  const { metadata } = error as { metadata?: { get(key: string): unknown[] } };
  return String(metadata?.get('holdfast-reason')[0] ?? error);
}

describe('whoever is not known', () => {
  it('gets nothing of any call', async () => {
    const client = stranger();
    const before = cluster.proposals;
    for (const { name } of calls) {
      expect(await outcomeOf(client, name), name).toBe('CREDENTIALS_MISSING');
    }
    expect(cluster.proposals).toBe(before);
  });

  it('is refused with a token of somebody else, and logged without it', async () => {
    const token = await new TestIssuer().token(ADMIN);
    const client = connect(cluster.node(1).port, token);
    open.push(client);
    const { reason, error } = await refusal(client.call('Admin/ListTopics', {}));
    expect(reason).toBe('TOKEN_INVALID');
    expect(error.code).toBe(16);
    const fields = { principal: '', call: '/holdfast.v1.Admin/ListTopics', reason };
    expect(logged).toMatchObject([{ text: 'security: a call was refused', fields }]);
    expect(JSON.stringify(logged)).not.toContain(token.slice(-20));
  });
});

describe('whoever is known and has no rule', () => {
  it('gets nothing of any call that needs one', async () => {
    const client = await clientOf('app');
    const before = cluster.proposals;
    const needs = calls.filter(({ asks }) => asks !== 'known');
    expect(needs.length).toBeGreaterThan(30);
    for (const { name } of needs) {
      expect(await outcomeOf(client, name), name).toBe('PERMISSION_DENIED');
    }
    expect(cluster.proposals).toBe(before);
  });

  it('reads the same of what is there and of what is not', async () => {
    const client = await clientOf('app');
    const textOf = async (name: string, request: object) => {
      const { error, reason } = await refusal(client.call(name, request));
      return `${reason} ${error.details.replaceAll(/orders|absent/g, 'T')}`;
    };
    for (const name of ['Log/Fetch', 'Log/ListOffsets', 'Admin/DescribeTopic']) {
      const about = (topic: string) => ({ topic, name: topic });
      const there = await textOf(name, about('orders'));
      expect(there).toMatch(/^PERMISSION_DENIED .*acl grant app/);
      expect(await textOf(name, about('absent')), name).toBe(there);
    }
  });

  it('sees empty lists', async () => {
    const root = await clientOf(ADMIN);
    const group = { group: 'g', topic: 'orders' };
    await root.call('Log/CommitOffset', { ...group, offsets: [{ queue: 0, offset: 0 }] });
    await root.call('Deliveries/Receive', { group: 'leased', topic: 'orders' });
    const lists = {
      'Admin/ListTopics': 'topics',
      'Groups/List': 'groups',
      'Deliveries/ListSubscriptions': 'subscriptions',
    };
    const client = await clientOf('app');
    for (const [name, field] of Object.entries(lists)) {
      const all = await root.call<Record<string, unknown[]>>(name, {});
      expect(all[field]?.length, name).toBeGreaterThan(0);
      expect((await client.call<Record<string, unknown>>(name, {}))[field], name).toEqual([]);
    }
  });
});

describe('rules', () => {
  it('let through what they allow, through a node that forwards', async () => {
    grant(cluster, 'app', 'topic', 'ord*', 'produce');
    grant(cluster, '*', 'topic', 'orders', 'fetch');
    const client = await clientOf('app');
    const request = { topic: 'orders', queue: 0, messages: [message('one')] };
    expect(await client.call<Ack>('Log/Produce', request)).toMatchObject({ base_offset: '0' });
    const fetch = { topic: 'orders', queue: 0 };
    expect(bodies((await client.call<Fetched>('Log/Fetch', fetch)).batches)).toEqual(['one']);
    const other = await clientOf('other');
    expect((await refusal(other.call('Log/Produce', request))).reason).toBe('PERMISSION_DENIED');
    expect(bodies((await other.call<Fetched>('Log/Fetch', fetch)).batches)).toEqual(['one']);
    revoke(cluster, 'app', 'topic', 'ord*', 'produce');
    expect((await refusal(client.call('Log/Produce', request))).reason).toBe('PERMISSION_DENIED');
  });

  it('show pages of what they allow, without gaps', async () => {
    for (const name of ['a', 'b-hidden', 'c', 'd-hidden', 'e']) cluster.createTopic(name, 1);
    for (const name of ['a', 'c', 'e']) grant(cluster, 'app', 'topic', name, 'fetch');
    const client = await clientOf('app');
    const seen: string[] = [];
    let token = '';
    do {
      const page: { topics: { name: string }[]; next_page_token: string } = await client.call(
        'Admin/ListTopics',
        { page_size: 2, page_token: token },
      );
      seen.push(...page.topics.map(({ name }) => name));
      token = page.next_page_token;
      expect(Buffer.from(token, 'base64url').toString()).not.toMatch(/hidden/);
    } while (token !== '');
    expect(seen).toEqual(['a', 'c', 'e']);
  });

  it('are made by calls of who manages the cluster, and logged', async () => {
    const root = await clientOf(ADMIN);
    const rule = { principal: 'app', kind: 'TOPIC', name: 'orders', verbs: ['FETCH'] };
    await root.call('Admin/GrantAccess', { rule });
    const listed = await root.call<{ rules: object[] }>('Admin/ListAccess', {});
    expect(listed.rules).toMatchObject([{ principal: 'app', name: 'orders', prefix: false }]);
    const app = await clientOf('app');
    await app.call('Log/Fetch', { topic: 'orders', queue: 0 });
    expect((await refusal(app.call('Admin/GrantAccess', { rule }))).reason).toBe(
      'PERMISSION_DENIED',
    );
    await root.call('Admin/RevokeAccess', { rule });
    await until(() => cluster.node(3).meta.access().after('', 1).length === 0);
    const changes = logged.filter(({ text }) => text === 'security: the cluster is changed');
    const of = (call: string) => ({ principal: ADMIN, call: `/holdfast.v1.Admin/${call}` });
    expect(changes.map(({ fields }) => fields)).toMatchObject([
      of('GrantAccess'),
      of('RevokeAccess'),
    ]);
  });
});

describe('what is open ends', () => {
  async function subscribed(principal = 'app') {
    grant(cluster, principal, 'topic', 'orders', 'fetch');
    const stream = (await clientOf(principal)).stream('Log/Subscribe');
    const ended = new Promise<string>((resolve) => {
      stream.on('error', (error) => resolve(reasonOf(error)));
    });
    const begun = new Promise((resolve) => stream.once('metadata', resolve));
    stream.resume();
    stream.write({ start: { topic: 'orders', credit: 10 } });
    await begun;
    return { ended };
  }

  it('when its rule is taken away', async () => {
    const { ended } = await subscribed();
    grant(cluster, 'other', 'topic', 'orders', 'fetch');
    revoke(cluster, 'app', 'topic', 'orders', 'fetch');
    expect(await ended).toBe('PERMISSION_DENIED');
  });

  it('also when another call was refused by the new rules before', async () => {
    const { ended } = await subscribed();
    const node = cluster.node(3);
    node.holdMeta = true;
    revoke(cluster, 'app', 'topic', 'orders', 'fetch');
    node.holdMeta = false;
    // Applied, and nobody was told so far.
    for (const entry of node.held.splice(0)) node.applyMeta(entry);
    const fetch = (await clientOf('app')).call('Log/Fetch', { topic: 'orders', queue: 0 });
    expect((await refusal(fetch)).reason).toBe('PERMISSION_DENIED');
    node.tellApplied(0);
    expect(await ended).toBe('PERMISSION_DENIED');
  });

  it('when its token is revoked, and the token is worth nothing from then on', async () => {
    const { ended } = await subscribed();
    const root = await clientOf(ADMIN);
    await root.call('Admin/RevokeTokens', { principal: 'app' });
    expect(await ended).toBe('TOKEN_REVOKED');
  });

  it('when the key of its token is taken out of the files', async () => {
    const { ended } = await subscribed();
    issuer.takeKeyAway();
    expect(await ended).toBe('TOKEN_REVOKED');
    const late = await clientOf(ADMIN);
    expect((await refusal(late.call('Admin/ListTopics', {}))).reason).toBe('TOKEN_INVALID');
  });

  it('when its token expires', async () => {
    grant(cluster, 'app', 'topic', 'orders', 'produce', 'fetch');
    // Expired for long, but for the clocks that are allowed to run apart.
    const nowMs = Date.now() - 39_000;
    const token = await issuer.token('app', { nowMs, lifetimeMs: 10_000 });
    const client = connect(cluster.node(3).port, token);
    open.push(client);
    const streams = ['Log/Subscribe', 'Log/ProduceStream'].map((name) => {
      const stream = client.stream(name);
      stream.resume();
      return { stream, ended: new Promise((resolve) => stream.on('error', resolve)) };
    });
    streams[0]!.stream.write({ start: { topic: 'orders', credit: 1 } });
    const poll = refusal(
      client.call('Log/Fetch', { topic: 'orders', queue: 1, max_wait_ms: 20_000 }, 25_000),
    );
    for (const { ended } of streams) expect(reasonOf(await ended)).toBe('TOKEN_EXPIRED');
    expect((await poll).reason).toBe('TOKEN_EXPIRED');
  });
});

describe('a stream that may not produce', () => {
  it('tells nothing of queues: each request is refused alike', async () => {
    const client = await clientOf('app');
    for (const topic of ['orders', 'absent']) {
      const stream = client.stream<object, { error: { reason: string } }>('Log/ProduceStream');
      const reasons: string[] = [];
      stream.on('data', ({ error }) => reasons.push(error.reason));
      stream.on('error', () => undefined);
      for (let id = 1; id <= 3; id += 1) {
        const messages = id === 2 ? [] : [message('x')];
        stream.write({ request_id: id, request: { topic, queue: 0, messages } });
      }
      await until(() => reasons.length === 3);
      expect(reasons).toEqual(['PERMISSION_DENIED', 'EMPTY_BATCH', 'PERMISSION_DENIED']);
      stream.cancel();
    }
  });
});

describe('delayed messages', () => {
  it('are taken back by who may produce to their topic; others learn nothing', async () => {
    grant(cluster, 'app', 'topic', 'orders', 'produce');
    const app = await clientOf('app');
    const delayed = { topic: 'orders', queue: 0, messages: [message('x')] };
    const deliver_at_ms = cluster.timeMs + 60_000;
    const ack = await app.call<Ack>('Log/Produce', { ...delayed, deliver_at_ms });
    const recall = { message_id: ack.first_message_id };
    const other = await clientOf('other');
    expect((await refusal(other.call('Log/Recall', recall))).reason).toBe('NOT_DELAYED');
    expect(await app.call('Log/Recall', recall)).toMatchObject({ count: 1 });
  });
});

it('a cluster that asks nobody takes calls without a token, and with any', async () => {
  const plain = new FakeCluster(1, 1);
  await plain.start();
  plain.append(0, encodeMetaCommand({ type: 'revokeToken', tokenId: 'x' }), NO_BYTES);
  plain.createTopic('orders', 1);
  for (const token of ['', 'whatever']) {
    const client = connect(plain.node(1).port, token);
    await client.call('Log/Produce', { topic: 'orders', messages: [message('x')] });
    client.close();
  }
  await plain.stop();
});

describe('what belongs to a principal', () => {
  beforeEach(() => {
    for (const who of ['app', 'thief']) {
      grant(cluster, who, 'topic', 'orders', 'produce', 'fetch');
      grant(cluster, who, 'group', '*', 'commit', 'txn');
    }
  });

  const half = { topic: 'orders', queue: 0, messages: [message('half')] };
  const prepare = { producer_group: 'p', parts: [half] };
  interface Prepared {
    readonly transaction_id: string;
  }

  it('a transaction is ended by who prepared it alone, by whatever node', async () => {
    const app = await clientOf('app');
    const { transaction_id } = await app.call<Prepared>('Transactions/Prepare', prepare);
    const many = { ...prepare, parts: [half, { ...half, queue: 1 }] };
    const { transaction_id: second } = await app.call<Prepared>('Transactions/Prepare', many);
    const end = (id: string) => ({
      ...{ transaction_id: id, producer_group: 'p', decision: 'COMMIT' },
    });
    for (const node of [1, 2, 3]) {
      const thief = await clientOf('thief', node);
      for (const id of [transaction_id, second]) {
        const refused = await refusal(thief.call('Transactions/End', end(id)));
        expect(refused.reason).toBe('TRANSACTION_FOREIGN');
      }
      const asOperator = { ...end(transaction_id), producer_group: '', operator: true };
      const refused = await refusal(thief.call('Transactions/End', asOperator));
      expect(refused.reason).toBe('PERMISSION_DENIED');
    }
    for (const id of [transaction_id, second]) {
      await (await clientOf('app', 2)).call('Transactions/End', end(id));
    }
  });

  it('nobody else is asked about a transaction', async () => {
    const app = await clientOf('app');
    await app.call('Transactions/Prepare', prepare);
    cluster.timeMs += 60_000;
    const poll = { producer_group: 'p', max_wait_ms: 300 };
    interface Checks {
      readonly checks: readonly unknown[];
    }
    for (const node of [1, 2, 3]) {
      const thief = await clientOf('thief', node);
      const { checks } = await thief.call<Checks>('Transactions/PollChecks', poll);
      expect(checks).toEqual([]);
    }
    const { checks } = await app.call<Checks>('Transactions/PollChecks', poll);
    expect(checks).toHaveLength(1);
  });

  it('nobody else speaks for a member of a group', async () => {
    const app = await clientOf('app');
    const who = { group: 'c', member_id: 'm', instance_id: 'i' };
    const joined = await app.call<{ assignment: { generation: string } }>('Groups/Join', {
      ...{ ...who, topics: ['orders'] },
    });
    const { generation } = joined.assignment;
    const commit = {
      ...{ group: 'c', topic: 'orders', member_id: 'm', generation },
      offsets: [{ queue: 0, offset: 0 }],
    };
    for (const node of [1, 2, 3]) {
      const thief = await clientOf('thief', node);
      const reasonOfCall = async (name: string, request: object) =>
        (await refusal(thief.call(name, request))).reason;
      expect(await reasonOfCall('Log/CommitOffset', commit)).toBe('MEMBER_UNKNOWN');
      expect(await reasonOfCall('Groups/Heartbeat', who)).toBe('MEMBER_UNKNOWN');
      expect(await reasonOfCall('Groups/Leave', who)).toBe('MEMBER_UNKNOWN');
      const join = { ...who, topics: ['orders'] };
      expect(await reasonOfCall('Groups/Join', join)).toBe('MEMBER_FOREIGN');
      const member = { group: 'c', member_id: 'm', generation, topic: 'orders' };
      const offsets = [{ ...member, offsets: [{ queue: 0, offset: 0 }] }];
      const withOffsets = { ...prepare, offsets };
      expect(await reasonOfCall('Transactions/Prepare', withOffsets)).toMatch(
        /TRANSACTION_NOT_PREPARED|MEMBER_UNKNOWN/,
      );
    }
    await app.call('Log/CommitOffset', commit);
    await app.call('Groups/Heartbeat', who);
    await app.call('Groups/Leave', who);
  });
});

describe('while older builds are in the cluster', () => {
  it('nothing is written that they cannot read: no rule, and nobody’s name', async () => {
    const old = new FakeCluster(3, 3, FIRST_LEVEL);
    const admins = new Set(['app', 'other']);
    old.auth = { ...issuer.auth, admins };
    await old.start();
    old.createTopic('orders', 1);
    const of = async (name: string) => connect(old.node(1).port, await issuer.token(name));
    const [app, other] = [await of('app'), await of('other')];
    open.push(app, other);
    const rule = { principal: 'x', kind: 'TOPIC', name: 'orders', verbs: ['FETCH'] };
    const { reason } = await refusal(app.call('Admin/GrantAccess', { rule }));
    expect(reason).toBe('UPGRADE_UNFINISHED');
    const half = { topic: 'orders', messages: [message('x')] };
    const prepare = { producer_group: 'p', parts: [half], transaction_id: 'mine' };
    const named = { ...prepare, parts: [{ ...half, queue: 0 }] };
    await app.call('Transactions/Prepare', named);
    await app.call('Groups/Join', { group: 'c', member_id: 'm', topics: ['orders'] });
    const end = { transaction_id: 'mine', producer_group: 'p', topic: 'orders', queue: 0 };
    await other.call('Transactions/End', { ...end, decision: 'COMMIT' });
    const heads = [...old.logs.values()].flatMap(({ entries }) => entries.map(({ head }) => head));
    expect(heads.length).toBeGreaterThan(4);
    for (const head of heads) expect(Buffer.from(head).toString()).not.toContain('app');
    const frames = old.nodes.flatMap(({ peers }) => peers.sent.map(({ request }) => request));
    expect(frames.length).toBeGreaterThan(0);
    expect(frames.filter(({ principal }) => principal !== undefined)).toEqual([]);
    await old.stop();
  });
});
