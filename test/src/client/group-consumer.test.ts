import { afterAll, afterEach, beforeAll, beforeEach, expect, it } from 'vitest';
import { type Consumer, connect, type Holdfast, type Message } from '../../../src/client/index.ts';
import { until } from '../../harness/service-client.ts';
import { FakeCluster } from '../../harness/service-cluster.ts';

/** Consumers as members, against the real service. */
let cluster: FakeCluster;
let client: Holdfast;
let topic = '';
let group = '';

beforeAll(async () => {
  cluster = new FakeCluster(3, 3);
  await cluster.start({ minSessionMs: 60, defaultSessionMs: 60_000 });
});
afterAll(() => cluster.stop());
beforeEach(({ task }) => {
  topic = `topic-${task.id}`;
  group = `group-${task.id}`;
  cluster.createTopic(topic, 4);
  client = connect({ servers: cluster.nodes.map(({ port }) => `127.0.0.1:${port}`) });
});
afterEach(() => client.close());

async function send(...bodies: string[]): Promise<void> {
  const producer = client.producer({ topic });
  for (const [at, body] of bodies.entries()) await producer.send({ body, queue: at % 4 });
  await producer.close();
}

class Reader {
  readonly got: Message[] = [];
  readonly consumer: Consumer;
  readonly ended: Promise<void>;

  constructor(consumer: Consumer) {
    this.consumer = consumer;
    this.ended = this.#read();
  }

  get bodies(): string[] {
    return this.got.map(({ body }) => body.toString());
  }

  get queues(): number[] {
    return [...new Set(this.got.map(({ queue }) => queue))].sort();
  }

  async #read(): Promise<void> {
    for await (const message of this.consumer) this.got.push(message);
  }
}

const reader = (join: object | true = true) => new Reader(client.consumer({ topic, group, join }));
const settled = async () => {
  const { queues } = await client.groups.describe(group);
  return queues.every(({ owner, nextOwner }) => owner !== '' && nextOwner === '');
};

async function untilSettled(members: number): Promise<void> {
  for (let left = 200; left > 0; left -= 1) {
    const found = await client.groups.describe(group).catch(() => undefined);
    if (found?.members.length === members && (await settled())) return;
  }
  throw new Error('never settled');
}

it('two members share the queues, and go on where each was committed', async () => {
  await send('a0', 'a1', 'a2', 'a3');
  const revoked: number[][] = [];
  const first: Reader = reader({
    onRevoked: async (queues: readonly number[]) => {
      revoked.push([...queues]);
      await first.consumer.commit();
    },
  });
  await until(() => first.got.length === 4);
  const second = reader();
  await untilSettled(2);
  expect(revoked).toEqual([[2, 3]]);
  await send('b0', 'b1', 'b2', 'b3');
  await until(() => first.got.length + second.got.length === 8);
  // Committed while it let go of them: the new owner reads none of them again.
  expect(second.bodies.sort()).toEqual(['b2', 'b3']);
  expect(first.bodies.sort()).toEqual(['a0', 'a1', 'a2', 'a3', 'b0', 'b1']);
  await first.consumer.commit();
  await second.consumer.commit();
  const { totalLag } = await client.groups.describe(group);
  expect(totalLag).toBe(0);

  await first.consumer.close();
  await send('c0', 'c1', 'c2', 'c3');
  await until(() => second.got.length === 6);
  expect(second.queues).toEqual([0, 1, 2, 3]);
  await second.consumer.close();
  expect((await client.groups.describe(group)).members).toEqual([]);
});

it('what was not committed is read again by the next owner', async () => {
  await send('a0', 'a1', 'a2', 'a3');
  const first = reader();
  await until(() => first.got.length === 4);
  const second = reader();
  await until(() => second.got.length === 2);
  expect(second.queues).toEqual([2, 3]);
  await first.consumer.commit();
  const { queues } = await client.groups.describe(group);
  expect(queues.map(({ offset }) => offset)).toEqual([1, 1, undefined, undefined]);
});

it('a reset puts members back, whatever they had read', async () => {
  await send('a0', 'a1', 'a2', 'a3');
  const only = reader();
  await until(() => only.got.length === 4);
  await only.consumer.commit();
  await client.admin.resetOffsets({ group, topic, to: 'earliest' });
  await until(() => only.got.length === 8);
  await only.consumer.commit();
  expect((await client.groups.describe(group)).totalLag).toBe(0);
});

it('a member that was given up on joins again by itself', async () => {
  await send('a0');
  const only = reader();
  await until(() => only.got.length === 1);
  const { members } = await client.groups.describe(group);
  const { memberId, instanceId } = members[0]!;
  await client.groups.leave({ group, memberId, instanceId });
  await send('b0');
  await until(() => only.bodies.includes('b0'));
  expect((await client.groups.describe(group)).members[0]!.memberId).toBe(memberId);
});

it('a broadcast group shows everything to everybody', async () => {
  await send('a0', 'a1', 'a2', 'a3');
  const readers = [reader({ mode: 'BROADCAST' }), reader({ mode: 'BROADCAST' })];
  await until(() => readers.every(({ got }) => got.length === 4));
  for (const { consumer } of readers) await consumer.commit();
  expect((await client.groups.describe(group)).totalLag).toBe(0);
});

it('a deleted group is gone, and a topic that is gone is told', async () => {
  const only = reader();
  await untilSettled(1);
  await expect(client.groups.delete(group)).rejects.toMatchObject({ reason: 'GROUP_HAS_MEMBERS' });
  await only.consumer.close();
  await client.groups.delete(group);
  expect((await client.groups.list()).map((one) => one.group)).not.toContain(group);
});

it.each([
  ['join needs a group', () => client.consumer({ topic, join: true })],
  ['contradict each other', () => client.consumer({ topic, group, join: true, queues: [0] })],
])('%s', (text, make) => {
  expect(make).toThrow(text);
});
