import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { connect, message, refusal, type TestClient } from '../../../harness/service-client.ts';
import { FakeCluster } from '../../../harness/service-cluster.ts';

interface Summary {
  readonly group: string;
  readonly topic: string;
}
interface DeadLetter {
  readonly message_id: string;
  readonly queue: number;
  readonly messages: readonly { readonly body: Buffer }[];
  readonly unreadable: boolean;
}
interface Page {
  readonly dead_letters: readonly DeadLetter[];
  readonly next_page_token: string;
}

let cluster: FakeCluster;
let client: TestClient;
let topic = '';
let group = '';

beforeAll(async () => {
  cluster = new FakeCluster(3, 3);
  await cluster.start();
});
afterAll(() => cluster.stop());

beforeEach(({ task }) => {
  topic = `topic-${task.id}`;
  group = `group-${task.id}`;
  cluster.createTopic(topic, 2);
  client = connect(cluster.node(1).port);
});
afterEach(() => client.close());

const call = <Response = unknown>(name: string, fields: object = {}) =>
  client.call<Response>(`Deliveries/${name}`, { group, topic, ...fields });
const produce = (queue: number, ...bodies: string[]) =>
  client.call('Log/Produce', { topic, queue, messages: bodies.map((body) => message(body)) });
const receive = async (fields: object = {}) => {
  const { deliveries } = await call<{ deliveries: { token: string; attempt: number }[] }>(
    'Receive',
    fields,
  );
  return deliveries;
};

/** Subscribes to both queues, and lets all that they hold die. */
async function killAll(): Promise<void> {
  for (let round = 0; round < 40; round += 1) {
    const found = await receive();
    const items = found.map(({ token }) => ({ token, delay_ms: 0 }));
    if (items.length === 0) return;
    await call('Nack', { items });
  }
}

const idsOf = ({ dead_letters: letters }: Page) => letters.map(({ message_id: id }) => id);

describe('dead letters', () => {
  it('listed without, read with their messages, page by page', async () => {
    await produce(0, 'a', 'b');
    await produce(1, 'c');
    await killAll();
    const seen: DeadLetter[] = [];
    let token = '';
    do {
      const page = await call<Page>('ReadDeadLetters', { page_size: 1, page_token: token });
      seen.push(...page.dead_letters);
      token = page.next_page_token;
    } while (token !== '');
    expect(seen.map(({ messages }) => messages[0]!.body.toString()).sort()).toEqual([
      ...['a', 'b', 'c'],
    ]);
    const listed = await call<Page>('ListDeadLetters', { topic: '' });
    expect(listed.dead_letters[0]).toMatchObject({
      ...{ topic, attempts: 16, cause: 'NACKED', messages: [], unreadable: false },
      ...{ died_at_ms: String(cluster.timeMs), stored_at_ms: String(cluster.timeMs) },
    });
    expect(await call('ListDeadLetters', { group: 'nobody' })).toMatchObject({ dead_letters: [] });
  });

  it('that cannot be read says so, and hides no other', async () => {
    await produce(0, 'a');
    await killAll();
    const { shard } = cluster.node(1).meta.topic(topic)!.queues[0]!;
    const node = cluster.node(cluster.leaders.get(shard)!);
    const { readEntry } = node.host;
    node.host.readEntry = (_shard, _index, done) => done(new Error('crc'), undefined);
    const page = await call<Page>('ReadDeadLetters');
    expect(page.dead_letters[0]).toMatchObject({ unreadable: true, messages: [] });
    node.host.readEntry = readEntry;
  });

  it('sent again by id: all attempts before them; purged all', async () => {
    await produce(0, 'a', 'b');
    await killAll();
    const [first] = idsOf(await call<Page>('ListDeadLetters'));
    const chosen = { topic: '', message_ids: [first] };
    expect(await call('ResendDeadLetters', chosen)).toEqual({ count: '1' });
    expect(await call('ResendDeadLetters', chosen)).toEqual({ count: '0' });
    expect(await receive()).toMatchObject([{ attempt: 1 }]);
    expect(await call('PurgeDeadLetters', { all: true })).toEqual({ count: '1' });
    expect(idsOf(await call<Page>('ListDeadLetters'))).toEqual([]);
  });

  it.each<[string, object, RegExp]>([
    ['ResendDeadLetters', {}, /give message_ids, or `all`/],
    ['PurgeDeadLetters', { all: true, message_ids: ['1-2-3'] }, /give message_ids, or `all`/],
    ['PurgeDeadLetters', { message_ids: ['1-2-3'] }, /leave `topic` out/],
    ['PurgeDeadLetters', { topic: '', message_ids: ['x'] }, /is not a message id/],
    ['ListDeadLetters', { page_token: 'x' }, /page_token is not one/],
    ['ReadDeadLetters', { page_size: 1001 }, /between 0 and 1000/],
    ['ListDeadLetters', { group: '' }, /group "" is not a name/],
  ])('refused: %s %o', async (name, fields, text) => {
    const { error } = await refusal(call(name, fields));
    expect(error.details).toMatch(text);
  });
});

it('more ids in one call than there may be are refused', async () => {
  const ids = { topic: '', message_ids: Array(1025).fill('1-1-1') };
  const { error } = await refusal(call('PurgeDeadLetters', ids));
  expect(error.details).toMatch(/1025 message_ids in one call: at most 1024/);
});

describe('subscriptions', () => {
  it('listed, over all shards, and described', async () => {
    await produce(0, 'a', 'b', 'c');
    await produce(1, 'd');
    expect(await receive({ max_messages: 2 })).not.toHaveLength(0);
    await receive({ max_messages: 2 });
    const { subscriptions } = await call<{ subscriptions: Summary[] }>('ListSubscriptions');
    expect(subscriptions).toMatchObject([
      { group, topic, fifo: false, lag: '1', pending: '3', leased: '3', dead: '0' },
    ]);
    const { queues } = await call<{ queues: object[] }>('DescribeSubscription');
    expect(queues).toMatchObject([
      { queue: 0, cursor: '2', end_offset: '3', lag: '1', pending: '2', leased: '2' },
      { queue: 1, cursor: '1', end_offset: '1', lag: '0', pending: '1' },
    ]);
  });

  it('page by page', async () => {
    for (const name of ['a', 'b', 'c']) await receive({ group: `${group}-${name}` });
    const seen: string[] = [];
    let token = `${group}`;
    for (let left = 3; left > 0; left -= 1) {
      const page = await call<{ subscriptions: Summary[]; next_page_token: string }>(
        'ListSubscriptions',
        { group: '', page_size: 1, page_token: token },
      );
      seen.push(...page.subscriptions.map((one) => one.group));
      token = page.next_page_token;
    }
    expect(seen).toEqual([`${group}-a`, `${group}-b`, `${group}-c`]);
  });

  it('moved to an offset, a time, the end and the beginning', async () => {
    await produce(0, 'a', 'b');
    cluster.timeMs += 1000;
    await produce(0, 'c');
    for (let left = 2; left > 0; left -= 1) await receive();
    const seek = async (to: object) => {
      const { queues } = await call<{ queues: { queue: number; cursor: string }[] }>(
        'SeekSubscription',
        { queues: [0], ...to },
      );
      return queues;
    };
    expect(await seek({ offset: 1 })).toEqual([{ queue: 0, cursor: '1' }]);
    expect(await receive()).toHaveLength(2);
    expect(await seek({ at_ms: cluster.timeMs })).toEqual([{ queue: 0, cursor: '2' }]);
    expect(await seek({ from: 'LATEST' })).toEqual([{ queue: 0, cursor: '3' }]);
    expect(await seek({ from: 'EARLIEST', queues: [] })).toEqual([
      { queue: 0, cursor: '0' },
      { queue: 1, cursor: '0' },
    ]);
    expect((await refusal(seek({ offset: 4 }))).reason).toBe('OFFSET_PAST_END');
  });

  it('deleted: what is pending and dead goes along', async () => {
    await produce(0, 'a');
    await killAll();
    await call('DeleteSubscription');
    expect((await refusal(call('DescribeSubscription'))).reason).toBe('SUBSCRIPTION_NOT_FOUND');
    expect(idsOf(await call<Page>('ListDeadLetters'))).toEqual([]);
    expect(await receive()).toMatchObject([{ attempt: 1 }]);
  });

  it.each<[string, object, string, RegExp]>([
    ['DescribeSubscription', { group: 'nobody' }, 'SUBSCRIPTION_NOT_FOUND', /is not subscribed to/],
    ['DeleteSubscription', { group: 'nobody' }, 'SUBSCRIPTION_NOT_FOUND', /is not subscribed to/],
    ['SeekSubscription', { from: 1, group: 'nobody' }, 'SUBSCRIPTION_NOT_FOUND', /not subscribed/],
    ['DescribeSubscription', { topic: 'none' }, 'TOPIC_NOT_FOUND', /does not exist/],
    ['DescribeSubscription', { group: '' }, 'INVALID_NAME', /group ""/],
    ['SeekSubscription', {}, 'INVALID_REQUEST', /say where to/],
    ['SeekSubscription', { from: 0 }, 'INVALID_REQUEST', /EARLIEST or LATEST/],
    ['SeekSubscription', { offset: 1 }, 'INVALID_REQUEST', /exactly one queue, not 0/],
    ['SeekSubscription', { offset: 1, queues: [0, 1] }, 'INVALID_REQUEST', /one queue, not 2/],
    ['SeekSubscription', { from: 1, queues: [7] }, 'QUEUE_NOT_FOUND', /has no queue 7/],
    ['SeekSubscription', { at_ms: -1 }, 'NUMBER_OUT_OF_RANGE', /at_ms is -1/],
    ['ListSubscriptions', { page_size: 1001 }, 'NUMBER_OUT_OF_RANGE', /between 0 and 1000/],
  ])('refused: %s %o', async (name, fields, reason, text) => {
    await receive();
    const found = await refusal(call(name, fields));
    expect(found.reason).toBe(reason);
    expect(found.error.details).toMatch(text);
  });
});
