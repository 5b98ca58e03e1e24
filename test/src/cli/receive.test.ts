/** `receive`, `ack`, `nack`, `extend`, `subscription`, `dlq` against the real service. */
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { connect, message, type TestClient } from '../../harness/service-client.ts';
import { FakeCluster } from '../../harness/service-cluster.ts';
import { runCommand } from './run-command.ts';

interface Line {
  readonly token: string;
  readonly message_id: string;
  readonly body: string;
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
beforeEach(async ({ task }) => {
  topic = `topic-${task.id}`;
  group = `group-${task.id}`;
  cluster.createTopic(topic, 1);
  client = connect(cluster.node(1).port);
  await client.call('Log/Produce', {
    ...{ topic, queue: 0, messages: ['one', 'two', 'three'].map((body) => message(body)) },
  });
});
afterEach(() => client.close());

const run = (...words: string[]) =>
  runCommand(...words, '--server', `127.0.0.1:${cluster.node(2).port}`);
const receive = (...words: string[]) => run('receive', topic, '--group', group, ...words);
const hold = async (...words: string[]) =>
  (await receive('--hold', '--json', ...words)).json() as Line[];
const settle = (what: string, ...words: string[]) => run(what, topic, '--group', group, ...words);
const text = async (...words: string[]) => (await run(...words)).stdout.toString();

describe('holdfast receive', () => {
  it('prints, acknowledges, and ends when there is no more', async () => {
    expect((await receive('--max', '2')).stdout.toString()).toBe('one\ntwo\n');
    expect((await receive()).stdout.toString()).toBe('three\n');
    expect((await receive()).stdout.toString()).toBe('');
    expect((await run('subscription', 'describe', group, topic, '--json')).json()).toMatchObject([
      { group, topic, lag: 0, pending: 0, queues: [{ queue: 0, cursor: 3, end_offset: 3 }] },
    ]);
  });

  it('--filter and --tag: only what fits, and the list of subscriptions tells', async () => {
    const messages = [
      { tag: 'paid', body: Buffer.from('four') },
      { properties: { n: '5' }, body: Buffer.from('five') },
    ];
    await client.call('Log/Produce', { topic, queue: 0, messages });
    expect((await receive('--tag', 'paid || sent')).stdout.toString()).toBe('four\n');
    const bySql = ['receive', topic, '--group', `${group}-sql`, '--filter', 'n > 4'];
    expect(await text(...bySql)).toBe('five\n');
    const list = ['subscription', 'list', '--group', group];
    expect(await text(...list)).toMatch(/FILTER\n.* paid \|\| sent\n/);
    expect((await run(...list, '--json')).json()).toMatchObject([
      [{ group, lag: 0, filter: { tag: 'paid || sent' } }],
    ]);
  });

  it('for scripts: held, then settled by token', async () => {
    const held = await hold('--lease', '5m', '--consumer', 'script');
    expect(held.map(({ body }) => body)).toEqual(['one', 'two', 'three']);
    expect(held[0]).toMatchObject({
      ...{ queue: 0, offset: 0, attempt: 1, lease_until_ms: cluster.timeMs + 300_000 },
    });
    const [one, two, three] = held.map(({ token }) => token);
    const acked = await settle('ack', one!, two!);
    expect(acked.exitCode).toBe(0);
    expect(acked.stdout.toString()).toMatch(/TOKEN +STATUS +DUE\nd\.\S+ +SETTLED\nd\.\S+ +SETTLED/);
    const extended = await settle('extend', three!, '--lease', '1h', '--json');
    expect(extended.json()).toMatchObject([
      [{ token: three, status: 'SETTLED', due_at_ms: cluster.timeMs + 3_600_000 }],
    ]);
    expect((await settle('nack', three!, '--delay', '0')).exitCode).toBe(0);
    expect(await hold()).toMatchObject([{ body: 'three', attempt: 2 }]);
    const stale = await settle('ack', three!, '--json');
    expect(stale.exitCode).toBe(1);
    expect(stale.json()).toMatchObject([[{ status: 'STALE_TOKEN' }]]);
    process.exitCode = 0;
  });

  it.each([
    [['receive', 'orders']],
    [['receive', 'orders', '--group', 'g', '--from', 'noon']],
    [['receive', 'orders', '--group', 'g', '--lease', '5']],
    [['ack', 'orders', '--group', 'g']],
    [['extend', 'orders', 'd.1.1.1', '--group', 'g']],
  ])('refused: %s', async (words) => {
    expect((await run(...words)).exitCode).toBe(2);
  });
});

describe('holdfast trace', () => {
  it('by id and by key: who has the message now', async () => {
    const [one] = await hold('--consumer', 'script');
    const found = await text('trace', one!.message_id);
    expect(found).toMatch(/^message \S+ of topic \S+, queue 0\nTIME +WHAT +FACTS\n/);
    expect(found).toMatch(/leased until +group \S+, attempt 1, consumer script, fencing_token \d+/);
    const keys = { key: 'k' };
    await client.call('Log/Produce', {
      ...{ topic, queue: 0, messages: [message('a', keys), message('b', keys)] },
    });
    const byKey = await text('trace', '--topic', topic, '--key', 'k');
    expect(byKey).toMatch(/^2 messages among the newest 5 have this key; this is the newest\n/);
    const [json] = (await run('trace', one!.message_id, '--json')).json();
    expect(json).toMatchObject({ message_id: one!.message_id, matches: [], scanned: [] });
  });

  it('what to look for must be said', async () => {
    await expect(run('trace')).rejects.toThrow(/give a message id, --key or --dedup-key/);
    await expect(run('trace', '1-2-3', '--key', 'k')).rejects.toThrow(/one of them/);
    await expect(run('trace', '--key', 'k')).rejects.toThrow(/needs --topic/);
    await expect(run('trace', '1-2-3', '--topic', topic)).rejects.toThrow(/leave --topic out/);
  });
});

describe('holdfast subscription', () => {
  it('lists, moves, ends', async () => {
    await receive();
    expect(await text('subscription', 'list', '--group', group)).toBe(
      `GROUP${' '.repeat(group.length - 5)}  TOPIC${' '.repeat(topic.length - 5)}  ` +
        'FIFO  LAG  PENDING  LEASED  DEAD  FILTER\n' +
        `${group}  ${topic}  no    0    0        0       0\n`,
    );
    expect(await text('subscription', 'seek', group, topic, '--earliest')).toBe(
      'QUEUE  NEXT\n0      0\n',
    );
    await run('subscription', 'seek', group, topic, '--offset', '2', '--queue', '0');
    expect((await receive()).stdout.toString()).toBe('three\n');
    expect(await text('subscription', 'delete', group, topic)).toMatch(/not subscribed/);
    await expect(run('subscription', 'describe', group, topic)).rejects.toThrow(/subscribed/);
    await expect(run('subscription', 'seek', group, topic)).rejects.toThrow(/say where to/);
    const noQueue = run('subscription', 'seek', group, topic, '--offset', '2');
    await expect(noQueue).rejects.toThrow(/needs --queue/);
  });
});

describe('holdfast dlq', () => {
  beforeEach(async () => {
    for (let round = 0; round < 16; round += 1) {
      const how = { group, topic, consumer: 'sick' };
      const { deliveries } = await client.call<{ deliveries: Line[] }>('Deliveries/Receive', how);
      const items = deliveries.map(({ token }) => ({ token, delay_ms: 0 }));
      await client.call('Deliveries/Nack', { group, topic, items });
    }
  });

  it('lists, reads, sends again, purges', async () => {
    const lines = (await text('dlq', 'list', group)).split('\n');
    expect(lines[0]).toMatch(/^MESSAGE +TOPIC +QUEUE +OFFSET +ATTEMPTS +CAUSE +DIED +CONSUMER$/);
    expect(lines[1]).toMatch(/^\d+-\d+-0 +\S+ +0 +0 +16 +nacked +2023-\S+Z +sick$/);
    expect(lines).toHaveLength(5);
    const [listed] = (await run('dlq', 'list', group, '--json')).json() as [Line[]];
    expect(listed[2]).toMatchObject({ topic, offset: 2, attempts: 16, cause: 'NACKED' });

    expect(await text('dlq', 'read', group, '--topic', topic)).toBe('one\ntwo\nthree\n');
    expect((await run('dlq', 'read', group, '--json')).json()[1]).toMatchObject({
      ...{ body: 'two', message_id: listed[1]!.message_id, attempts: 16, topic, consumer: 'sick' },
    });

    expect(await text('dlq', 'resend', group, listed[1]!.message_id)).toBe(
      '1 dead letter sent again\n',
    );
    expect((await receive()).stdout.toString()).toBe('two\n');
    expect((await run('dlq', 'purge', group, '--all', '--json')).json()).toEqual([{ count: 2 }]);
    expect(await text('dlq', 'list', group)).toMatch(/^MESSAGE.*\n$/);
  });

  it('which ones must be said', async () => {
    await expect(run('dlq', 'purge', group)).rejects.toThrow(/message ids, or give --all/);
    await expect(run('dlq', 'purge', group, '1-2-3', '--all')).rejects.toThrow(/one of the two/);
    const both = run('dlq', 'resend', group, '1-2-3', '--topic', topic);
    await expect(both).rejects.toThrow(/leave --topic out/);
  });
});
