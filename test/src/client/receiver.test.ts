import { afterAll, afterEach, beforeAll, beforeEach, expect, it, vi } from 'vitest';
import {
  connect,
  type Delivery,
  type DeliveryHandler,
  type Holdfast,
  type Receiver,
  type ReceiverOptions,
} from '../../../src/client/index.ts';
import { until } from '../../harness/service-client.ts';
import { FakeCluster } from '../../harness/service-cluster.ts';

/** Messages consumed one by one, against the real service. */
let cluster: FakeCluster;
let client: Holdfast;
let topic = '';
const group = 'g';

beforeAll(async () => {
  cluster = new FakeCluster(3, 3);
  await cluster.start();
});
afterAll(() => cluster.stop());
beforeEach(({ task }) => {
  topic = `topic-${task.id}`;
  cluster.createTopic(topic, 2);
  client = connect({ servers: cluster.nodes.map(({ port }) => `127.0.0.1:${port}`) });
});
afterEach(() => client.close());

async function send(...bodies: string[]): Promise<void> {
  const producer = client.producer({ topic });
  for (const body of bodies) await producer.send({ key: body.slice(0, 1), body, queue: 0 });
  await producer.close();
}

function receiver(handler: DeliveryHandler, more: Partial<ReceiverOptions> = {}): Receiver {
  return client.receiver({ group, topic, ...more }, handler);
}

/** A handler that works until it is let go. */
function gate() {
  const got: Delivery[] = [];
  const signals: AbortSignal[] = [];
  let open: () => void = () => undefined;
  const opened = new Promise<void>((resolve) => {
    open = resolve;
  });
  const handler: DeliveryHandler = async (delivery, { signal }) => {
    got.push(delivery);
    signals.push(signal);
    await opened;
  };
  return { got, signals, handler, open };
}

async function gathered<Item>(items: AsyncIterable<Item>): Promise<Item[]> {
  const found: Item[] = [];
  for await (const item of items) found.push(item);
  return found;
}

const pending = async () => (await client.deliveries.describe({ group, topic })).summary.pending;

it('each message is handled once, and acknowledged when that is done', async () => {
  await send('a1', 'b1', 'c1');
  const got: Delivery[] = [];
  const one = receiver((delivery) => void got.push(delivery), { consumer: 'me' });
  await until(() => got.length === 3);
  await one.close();
  expect(got.map(({ body }) => body.toString()).sort()).toEqual(['a1', 'b1', 'c1']);
  expect(got[0]).toMatchObject({ topic, queue: 0, key: 'a', attempt: 1, offset: 0 });
  expect(got[0]!.messageId).toMatch(/^\d+-\d+-0$/);
  expect(got[1]!.fencingToken).toBeGreaterThan(0);
  expect(await pending()).toBe(0);
});

it('with a filter: only what fits', async () => {
  const producer = client.producer({ topic });
  for (const n of ['1', '2', '3']) {
    await producer.send({ queue: 0, body: n, properties: { n }, tag: 't' });
  }
  await producer.close();
  const got: string[] = [];
  const filter = { sql: "n <> 2 AND TAGS = 't'" };
  const one = receiver(({ body }) => void got.push(body.toString()), { filter });
  await until(() => got.length === 2);
  await one.close();
  expect(got.sort()).toEqual(['1', '3']);
  const { summary } = await client.deliveries.describe({ group, topic });
  expect(summary).toMatchObject({ filter, lag: 0, pending: 0 });
});

it('no more at a time than it has handlers for, and room is used at once', async () => {
  await send('a1', 'b1', 'c1');
  const { handler, got, open } = gate();
  const one = receiver(handler, { concurrency: 2 });
  await until(() => got.length === 2);
  expect(await pending()).toBe(2);
  open();
  await until(() => got.length === 3);
  await one.close();
  expect(await pending()).toBe(0);
});

it('a handler that throws, or gives back, has the message come again', async () => {
  await send('a1', 'b1');
  const told: unknown[] = [];
  const attempts: string[] = [];
  const one = receiver(
    ({ body, attempt }, lease) => {
      attempts.push(`${body} ${attempt}`);
      if (body.toString() === 'a1' && attempt < 3) lease.giveBack(0);
      if (body.toString() === 'b1') throw new Error('no');
    },
    { onError: (error) => told.push(error) },
  );
  await until(() => attempts.includes('a1 3'));
  await one.close();
  expect(attempts.filter((text) => text.startsWith('b1'))).toEqual(['b1 1']);
  expect(told).toEqual([new Error('no')]);
  expect(await pending()).toBe(1);
});

it('a lease is extended for as long as its handler runs', async () => {
  await send('a1');
  const extend = vi.spyOn(client.deliveries, 'extend');
  const told: unknown[] = [];
  const { handler, got, signals, open } = gate();
  const one = receiver(handler, { leaseMs: 2000, onError: (error) => told.push(error) });
  await until(() => got.length === 1);
  for (const times of [1, 2, 3]) {
    await until(() => extend.mock.settledResults.length === times);
    // Without the extension it would be over now.
    cluster.timeMs += 1900;
    expect(await client.deliveries.receive({ group, topic })).toEqual([]);
  }
  open();
  await one.close();
  expect(signals[0]!.aborted).toBe(false);
  expect(told).toEqual([]);
  expect(await pending()).toBe(0);
});

it('a lease that another one got is told to the handler, and not acknowledged', async () => {
  await send('a1');
  const told: unknown[] = [];
  const { handler, got, signals, open } = gate();
  const how = { leaseMs: 1000, concurrency: 1 };
  const one = receiver(handler, { ...how, onError: (error) => told.push(error) });
  await until(() => got.length === 1);
  let other: Delivery | undefined;
  // An extension that comes between the two saves the lease once more.
  while (other === undefined) {
    cluster.timeMs += 5000;
    [other] = await client.deliveries.receive({ group, topic });
  }
  expect(other.fencingToken).toBeGreaterThan(got[0]!.fencingToken);
  await until(() => signals[0]!.aborted);
  expect(signals[0]!.reason).toMatchObject({ reason: 'CLIENT_LEASE_LOST' });
  open();
  await one.close();
  expect(told).toHaveLength(1);
  expect(await client.deliveries.ack({ group, topic }, [other.token])).toMatchObject([
    { status: 'SETTLED' },
  ]);
});

it('a lease that could not be extended is told, and acknowledged if it is still ours', async () => {
  await send('a1');
  const { shard } = cluster.node(1).meta.topic(topic)!.queues[0]!;
  const leader = cluster.leaders.get(shard);
  const { handler, got, signals, open } = gate();
  const one = receiver(handler, { leaseMs: 1000 });
  await until(() => got.length === 1);
  cluster.setLeader(shard, undefined);
  await until(() => signals[0]!.aborted);
  cluster.setLeader(shard, leader);
  open();
  await one.close();
  expect(await pending()).toBe(0);
});

it('close finishes what is held, and takes nothing more', async () => {
  await send('a1');
  const { handler, got, open } = gate();
  const one = receiver(handler);
  await until(() => got.length === 1);
  let closed = false;
  const closing = one.close().then(() => {
    closed = true;
  });
  await send('b1');
  expect(closed).toBe(false);
  open();
  await closing;
  expect(got).toHaveLength(1);
  expect(await pending()).toBe(0);
});

it('an acknowledgement waits for the next leader', async () => {
  await send('a1');
  const { shard } = cluster.node(1).meta.topic(topic)!.queues[0]!;
  const leader = cluster.leaders.get(shard);
  const { handler, got, open } = gate();
  const told: unknown[] = [];
  const one = receiver(handler, { onError: (error) => told.push(error) });
  await until(() => got.length === 1);
  cluster.setLeader(shard, undefined);
  const ack = vi.spyOn(client.deliveries, 'ack');
  open();
  await until(() => ack.mock.calls.length === 1);
  cluster.setLeader(shard, leader);
  await one.close();
  expect(await pending()).toBe(0);
});

it("a key's messages come one after the other, in their order", async () => {
  await send('a1', 'a2', 'b1', 'a3');
  const got: string[] = [];
  let running = 0;
  let together = 0;
  const one = receiver(
    async ({ body, key }) => {
      if (key === 'a') together = Math.max(together, ++running);
      await new Promise((resolve) => setImmediate(resolve));
      got.push(body.toString());
      if (key === 'a') running -= 1;
    },
    { fifo: true },
  );
  await until(() => got.length === 4);
  await one.close();
  expect(got.filter((body) => body.startsWith('a'))).toEqual(['a1', 'a2', 'a3']);
  expect(together).toBe(1);
});

it('what repeating would not cure ends it', async () => {
  await client.deliveries.receive({ group, topic, fifo: true });
  const one = receiver(() => undefined);
  await expect(one.closed).rejects.toMatchObject({ reason: 'SUBSCRIPTION_FIFO' });
  expect(() => receiver(() => undefined, { concurrency: 0 })).toThrow(/concurrency must be/);
});

it('dead letters: listed, read, sent again, purged', async () => {
  await send('a1', 'b1');
  for (let round = 0; round < 16; round += 1) {
    const found = await client.deliveries.receive({ group, topic });
    const nacks = found.map(({ token }) => ({ token, delayMs: 0 }));
    await client.deliveries.nack({ group, topic }, nacks);
  }
  const letters = await gathered(client.deadLetters.list(group));
  expect(letters).toMatchObject([
    { topic, queue: 0, offset: 0, attempts: 16, cause: 'NACKED', diedAtMs: cluster.timeMs },
    { offset: 1 },
  ]);
  const read = await gathered(client.deadLetters.read(group, topic));
  expect(read.map(({ message }) => message!.body.toString())).toEqual(['a1', 'b1']);
  const { messageId } = letters[0]!;
  expect(await client.deadLetters.resend(group, { messageIds: [messageId] })).toBe(1);
  expect(await client.deliveries.receive({ group, topic })).toMatchObject([
    { messageId, attempt: 1 },
  ]);
  expect(await client.deadLetters.purge(group, { all: true, topic })).toBe(1);
  expect(await gathered(client.deadLetters.list(group))).toEqual([]);
});

it('subscriptions: listed, described, moved, ended', async () => {
  await send('a1', 'b1');
  await client.deliveries.receive({ group: 'other', topic, maxMessages: 1 });
  const mine = await gathered(client.deliveries.subscriptions('other'));
  expect(mine).toContainEqual({
    ...{ group: 'other', topic, fifo: false, lag: 1, pending: 1, leased: 1, dead: 0 },
  });
  const name = { group: 'other', topic };
  expect(await client.deliveries.seek({ ...name, to: 2, queues: [0] })).toEqual([
    { queue: 0, cursor: 2 },
  ]);
  await client.deliveries.unsubscribe(name);
  await expect(client.deliveries.describe(name)).rejects.toMatchObject({
    reason: 'SUBSCRIPTION_NOT_FOUND',
  });
});
