import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import {
  type Ack,
  connect,
  message,
  refusal,
  type TestClient,
} from '../../harness/service-client.ts';
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
beforeEach(({ task }) => {
  topic = `topic-${task.id}`;
  cluster.createTopic(topic, 1);
  shard = cluster.node(1).meta.topic(topic)!.queues[0]!.shard;
  client = connect(cluster.node((cluster.leaders.get(shard)! % 3) + 1).port);
});
afterEach(() => client.close());

interface Trace {
  readonly topic: string;
  readonly queue: number;
  readonly events: readonly {
    readonly what: string;
    readonly at_ms: string;
    readonly facts: Readonly<Record<string, string>>;
  }[];
}

interface TraceByKey extends Trace {
  readonly message_id: string;
  readonly matches: readonly { readonly message_id: string; readonly queue: number }[];
  readonly scanned: readonly object[];
}

const trace = (id: string): Promise<Trace> => client.call<Trace>('Admin/Trace', { message_id: id });
const produce = (fields: object = {}): Promise<Ack> =>
  client.call<Ack>('Log/Produce', { topic, messages: [message('x'), message('y')], ...fields });
const traceBy = (fields: object): Promise<TraceByKey> =>
  client.call<TraceByKey>('Admin/Trace', { topic, ...fields });
const what = ({ events }: Trace): string[] => events.map((event) => event.what);

it('a plain message: where it is stored, where it stands, who committed beyond it', async () => {
  await produce();
  const ack = await produce();
  const commit = (group: string, offset: number) =>
    client.call('Log/CommitOffset', { topic, group, offsets: [{ queue: 0, offset }] });
  await commit(`${topic}-a`, 4);
  await commit(`${topic}-b`, 3);
  const id = ack.first_message_id.replace(/-0$/, '-1');
  const found = await trace(id);
  expect(found).toMatchObject({ message_id: id, topic, queue: 0 });
  expect(what(found)).toEqual([
    'STORED',
    'VISIBLE',
    'COMMITTED_BY_GROUP',
    'NOT_COMMITTED_BY_GROUP',
  ]);
  const [stored, visible, first, second] = found.events;
  const { term, log_index } = ack;
  const where = { shard: String(shard), term, log_index, replicas: '3', kind: 'plain' };
  expect(stored).toMatchObject({ at_ms: String(cluster.timeMs), facts: where });
  expect(visible!.facts).toEqual({ offset: '3' });
  expect(first!.facts).toEqual({ group: `${topic}-a`, committed: '4' });
  expect(second!.facts).toEqual({ group: `${topic}-b`, committed: '3' });
});

it('a delayed message, before it is shown and after', async () => {
  const dueMs = cluster.timeMs + 5000;
  const { first_message_id: id } = await produce({ deliver_at_ms: dueMs });
  const before = await trace(id);
  expect(what(before)).toEqual(['STORED', 'DELAYED_UNTIL']);
  expect(before.events[1]!.at_ms).toBe(String(dueMs));
});

it('a half message shows its state and nothing of its content', async () => {
  const prepared = await client.call<{ transaction_id: string; parts: Ack[] }>(
    'Transactions/Prepare',
    {
      producer_group: 'g',
      parts: [{ topic, queue: 0, messages: [message('secret', { key: 'k' })] }],
    },
  );
  const id = prepared.parts[0]!.first_message_id;
  const found = await trace(id);
  expect(what(found)).toEqual(['STORED', 'HALF_MESSAGE']);
  const { transaction_id } = prepared;
  const names = { transaction: transaction_id, producer_group: 'g', checks: '0 of 15' };
  expect(found.events[1]!.facts).toEqual({ state: 'undecided', ...names });
  expect(JSON.stringify(found)).not.toContain('secret');
  const end = { producer_group: 'g', transaction_id, decision: 1 };
  await client.call('Transactions/End', end);
  const after = await trace(id);
  expect(what(after)).toEqual(['STORED', 'HALF_MESSAGE', 'VISIBLE']);
  expect(after.events[1]!.facts).toEqual({ state: 'committed', ...names });
  expect(after.events[2]!.facts).toEqual({ offset: '0' });
});

it('a half message whose entry is gone from the log is told from its transaction', async () => {
  const parts = [{ topic, queue: 0, messages: [message('half')] }];
  const prepared = await client.call<{ transaction_id: string; parts: Ack[] }>(
    'Transactions/Prepare',
    { producer_group: 'g', parts },
  );
  const leader = cluster.node(cluster.leaders.get(shard)!);
  const { readEntry } = leader.host;
  leader.host.readEntry = (_shard, _index, done) => done(undefined, undefined);
  const found = await trace(prepared.parts[0]!.first_message_id);
  leader.host.readEntry = readEntry;
  expect(what(found)).toEqual(['STORED', 'HALF_MESSAGE']);
  expect(found).toMatchObject({ topic, queue: 0 });
  expect(found.events[1]!.facts).toMatchObject({ transaction: prepared.transaction_id });
});

it('a part whose entry is gone from the log is told from what its shard holds', async () => {
  cluster.createTopic(`${topic}-many`, 3);
  const messages = [message('half'), message('half')];
  const parts = [0, 1, 2].map((queue) => ({ topic: `${topic}-many`, queue, messages }));
  const { parts: acks, transaction_id } = await client.call<{
    transaction_id: string;
    parts: Ack[];
  }>('Transactions/Prepare', { producer_group: 'g', parts });
  const hosts = [1, 2, 3].map((node) => cluster.node(node).host);
  const reads = hosts.map(({ readEntry }) => readEntry);
  for (const host of hosts) host.readEntry = (_shard, _index, done) => done(undefined, undefined);
  const traced = () =>
    Promise.all(acks.map(({ first_message_id: id }) => trace(id.replace(/-0$/, '-1'))));
  for (const found of await traced()) {
    expect(what(found)).toEqual(['STORED', 'HALF_MESSAGE']);
    expect(found.events[0]).toMatchObject({
      at_ms: String(cluster.timeMs),
      facts: { kind: 'half' },
    });
    expect(found.events[1]!.facts).toMatchObject({
      state: 'undecided',
      transaction: transaction_id,
    });
  }
  await client.call('Transactions/End', { producer_group: 'g', transaction_id, decision: 1 });
  for (const [queue, found] of (await traced()).entries()) {
    expect(found).toMatchObject({ topic: `${topic}-many`, queue });
    expect(what(found)).toEqual(['STORED', 'HALF_MESSAGE', 'VISIBLE']);
    expect(found.events[2]!.facts).toEqual({ offset: '1' });
  }
  const beyond = await refusal(trace(acks[1]!.first_message_id.replace(/-0$/, '-2')));
  expect(beyond.reason).toBe('MESSAGE_NOT_FOUND');
  for (const [at, host] of hosts.entries()) host.readEntry = reads[at]!;
});

it('a part of a transaction over several queues: its coordinator knows the state', async () => {
  cluster.createTopic(`${topic}-many`, 3);
  const begin = async (producerGroup: string) => {
    const parts = [0, 1, 2].map((queue) => {
      return { topic: `${topic}-many`, queue, messages: [message('half')] };
    });
    return client.call<{ transaction_id: string; parts: Ack[] }>('Transactions/Prepare', {
      ...{ producer_group: producerGroup, parts },
    });
  };
  const states = async ({ parts }: { readonly parts: readonly Ack[] }) => {
    const found = await Promise.all(parts.map((part) => trace(part.first_message_id)));
    return found.map(({ events }) => events[1]!.facts.state);
  };
  const end = (id: string, decision: number) =>
    client.call('Transactions/End', {
      ...{ producer_group: 'g', transaction_id: id, decision },
    });
  const first = await begin('g');
  expect(await states(first)).toEqual(Array(3).fill('undecided'));
  await end(first.transaction_id, 1);
  expect(await states(first)).toEqual(Array(3).fill('committed'));
  const second = await begin('g');
  await end(second.transaction_id, 2);
  expect(await states(second)).toEqual(Array(3).fill('rolled back'));
  expect(what(await trace(second.parts[1]!.first_message_id))).toEqual(['STORED', 'HALF_MESSAGE']);
});

describe('groups that receive one by one', () => {
  const receive = async (group: string, fields: object = {}) => {
    const request = { group, topic, consumer: 'me', max_messages: 1, ...fields };
    const { deliveries } = await client.call<{
      deliveries: { token: string; fencing_token: string; message_id: string }[];
    }>('Deliveries/Receive', request);
    return deliveries[0]!;
  };
  const nack = (group: string, token: string, delayMs: number) =>
    client.call('Deliveries/Nack', { group, topic, items: [{ token, delay_ms: delayMs }] });
  const last = async (id: string) => (await trace(id)).events.at(-1)!;

  it('from the first lease to the acknowledgement', async () => {
    const { first_message_id: id } = await produce({ messages: [message('x')] });
    const group = `${topic}-g`;
    await client.call('Deliveries/Receive', { group, topic, from: 2 });
    expect(await last(id)).toMatchObject({ what: 'DECIDED_BY_GROUP', facts: { group } });
    const seek = { group, topic, from: 1 };
    await client.call('Deliveries/SeekSubscription', seek);
    expect(await last(id)).toMatchObject({ what: 'NOT_GIVEN_YET', facts: { group } });

    const lease = await receive(group, { lease_ms: 5000 });
    const facts = { group, consumer: 'me', attempt: '1', fencing_token: lease.fencing_token };
    const until = String(cluster.timeMs + 5000);
    expect(await last(id)).toEqual({ what: 'LEASED_UNTIL', at_ms: until, facts });
    cluster.timeMs += 5000;
    expect(await last(id)).toEqual({ what: 'LEASE_ENDED', at_ms: until, facts });

    await nack(group, lease.token, 7000);
    const again = { what: 'NEXT_ATTEMPT_AT', at_ms: String(cluster.timeMs + 7000), facts };
    expect(await last(id)).toEqual(again);
    cluster.timeMs += 7000;
    const { token } = await receive(group);
    expect(await last(id)).toMatchObject({ facts: { attempt: '2' } });
    await client.call('Deliveries/Ack', { group, topic, tokens: [token] });
    expect(await last(id)).toMatchObject({ what: 'DECIDED_BY_GROUP' });
  });

  it('a dead letter, also when its entry is gone from the log', async () => {
    const { first_message_id: id } = await produce({ messages: [message('x')] });
    const group = `${topic}-g`;
    for (let attempt = 1; attempt <= 16; attempt += 1) {
      await nack(group, (await receive(group)).token, 0);
    }
    const facts = { group, attempts: '16', cause: 'nacked', consumer: 'me' };
    const dead = { what: 'DEAD_LETTER', at_ms: String(cluster.timeMs), facts };
    expect(await last(id)).toEqual(dead);
    const leader = cluster.node(cluster.leaders.get(shard)!);
    const { readEntry } = leader.host;
    leader.host.readEntry = (_shard, _index, done) => done(undefined, undefined);
    const found = await trace(id);
    leader.host.readEntry = readEntry;
    expect(what(found)).toEqual(['STORED', 'VISIBLE', 'DEAD_LETTER']);
    expect(found).toMatchObject({ topic, queue: 0 });
    expect(found.events[0]!.facts.term).toBeUndefined();
    expect(found.events[2]).toEqual(dead);
  });

  it('each group by itself, and no group of another queue', async () => {
    const { first_message_id: id } = await produce({ messages: [message('x')] });
    await receive(`${topic}-b`);
    await receive(`${topic}-a`);
    const found = (await trace(id)).events.slice(2);
    expect(found.map(({ facts }) => facts.group)).toEqual([`${topic}-a`, `${topic}-b`]);
  });
});

describe('by key', () => {
  it('the newest message that has it, all that have it, and how far was looked', async () => {
    const keyed = (key: string) => produce({ messages: [message('x', { key }), message('y')] });
    await keyed('a');
    cluster.timeMs += 1000;
    const second = await keyed('a');
    await keyed('b');
    const found = await traceBy({ key: 'a' });
    expect(found.message_id).toBe(second.first_message_id);
    expect(what(found)).toEqual(['STORED', 'VISIBLE']);
    expect(found.matches).toMatchObject([
      { message_id: second.first_message_id, queue: 0, offset: '2' },
      { queue: 0, offset: '0', stored_at_ms: String(cluster.timeMs - 1000) },
    ]);
    expect(found.scanned).toEqual([{ queue: 0, from_offset: '0', end_offset: '6' }]);
  });

  it('at most twenty; the scan ends with them', async () => {
    for (let round = 0; round < 3; round += 1) {
      await produce({ messages: Array.from({ length: 150 }, () => message('x', { key: 'a' })) });
    }
    const found = await traceBy({ key: 'a' });
    expect(found.matches).toHaveLength(20);
    expect(found.matches[0]).toMatchObject({ offset: '449' });
    expect(found.scanned).toEqual([{ queue: 0, from_offset: '194', end_offset: '450' }]);
  });

  it('what was too much to read was not looked at, and the answer says so', async () => {
    const large = 'z'.repeat(3_900_000);
    await produce({ messages: [message('old', { key: 'a' })] });
    for (let left = 11; left > 0; left -= 1) await produce({ messages: [message(large)] });
    await produce({ messages: Array.from({ length: 255 }, () => message('new')) });
    const { reason, error } = await refusal(traceBy({ key: 'a' }));
    expect(reason).toBe('MESSAGE_NOT_FOUND');
    expect(error.details).toMatch(
      /none of the newest \d+ messages .* older ones were not looked at/,
    );
  });

  it('a dedup key is known exactly, also of what is delayed', async () => {
    const keyed = await produce({ dedup_keys: ['one', 'two'] });
    const found = await traceBy({ dedup_key: 'two' });
    const id = keyed.first_message_id.replace(/-0$/, '-1');
    expect(found).toMatchObject({ message_id: id, matches: [{ offset: '1' }], scanned: [] });
    const later = { dedup_keys: ['later'], deliver_at_ms: cluster.timeMs + 5000 };
    const { first_message_id: delayed } = await produce({ ...later, messages: [message('x')] });
    const found2 = await traceBy({ dedup_key: 'later' });
    expect(found2.message_id).toBe(delayed);
    expect(what(found2)).toEqual(['STORED', 'DELAYED_UNTIL']);
    const { reason, error } = await refusal(traceBy({ dedup_key: 'three' }));
    expect([reason, error.details]).toEqual([
      'MESSAGE_NOT_FOUND',
      expect.stringMatching(/remembers no message with this dedup_key/),
    ]);
  });

  it.each<[object, string, RegExp]>([
    [{}, 'INVALID_REQUEST', /one of message_id, dedup_key and key/],
    [{ key: 'a', dedup_key: 'b' }, 'INVALID_REQUEST', /one of message_id, dedup_key and key/],
    [{ key: 'a', message_id: '1-1-0' }, 'INVALID_REQUEST', /one of message_id/],
    [{ message_id: '1-1-0' }, 'INVALID_REQUEST', /leave `topic` out/],
    [{ key: 'a', topic: '' }, 'INVALID_NAME', /topic ""/],
    [{ key: 'a', topic: 'none' }, 'TOPIC_NOT_FOUND', /does not exist/],
    [{ key: 'a' }, 'MESSAGE_NOT_FOUND', /none of the newest 0 messages/],
  ])('refused: %o', async (fields, reason, text) => {
    const { error, reason: found } = await refusal(traceBy(fields));
    expect(found).toBe(reason);
    expect(error.details).toMatch(text);
  });
});

it('what was stored before under its sequence stands in its queue once', async () => {
  const by = { producer_id: 'p', sequence: 0, queue: 0 };
  await produce(by);
  await produce(by);
  const last = cluster.logs.get(shard)!.entries.length;
  expect(what(await trace(`${shard}-${last}-0`))).toEqual(['STORED', 'NOT_IN_ITS_QUEUE']);
});

it.each([
  ['INVALID_REQUEST', 'is not a message id', () => trace('nonsense')],
  ['MESSAGE_NOT_FOUND', 'never stored', () => trace('99-1-0')],
  ['MESSAGE_NOT_FOUND', 'never stored', () => trace('0-1-0')],
  ['MESSAGE_NOT_FOUND', 'never stored', () => trace(`${shard}-999999-0`)],
  ['MESSAGE_NOT_FOUND', 'never stored', () => trace(`${shard}-1-0`)],
])('%s: %s', async (reason, text, refused) => {
  const { reason: found, error } = await refusal(refused());
  expect(found).toBe(reason);
  expect(error.details).toContain(text);
});
