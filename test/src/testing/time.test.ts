import { setTimeout as pause } from 'node:timers/promises';
import { describe, expect, it, onTestFinished } from 'vitest';
import type { Delivery } from '../../../src/client/index.ts';
import {
  startTestCluster,
  type TestCluster,
  type TestClusterOptions,
} from '../../../src/testing/index.ts';

const MINUTE_MS = 60_000;

async function start(options?: TestClusterOptions): Promise<TestCluster> {
  const cluster = await startTestCluster(options);
  onTestFinished(() => cluster.stop());
  return cluster;
}

async function bodiesOf(cluster: TestCluster, topic: string): Promise<string[]> {
  const client = cluster.connect();
  const found = await client.fetch({ topic, queue: 0, offset: 0, linearizable: true });
  return found.messages.map(({ body }) => body.toString());
}

describe('virtual time', () => {
  it('stands still while calls are answered', async () => {
    const cluster = await start();
    const before = cluster.now();
    const client = cluster.connect();
    await client.admin.createTopic({ name: 'orders', queueCount: 1 });
    const producer = client.producer({ topic: 'orders' });
    for (let i = 0; i < 20; i++) await producer.send({ body: `${i}` });
    expect(await bodiesOf(cluster, 'orders')).toHaveLength(20);
    expect(cluster.now()).toBe(before);
  });

  it('begins where it is told, and is the time of messages', async () => {
    const startAt = new Date('2030-05-06T07:08:09Z');
    const cluster = await start({ startAt });
    expect(cluster.now()).toBe(startAt.getTime());
    const client = cluster.connect();
    await client.admin.createTopic({ name: 'orders', queueCount: 1 });
    await cluster.advance('3d');
    await client.producer({ topic: 'orders' }).send({ body: 'late' });
    const { messages } = await client.fetch({ topic: 'orders', queue: 0, offset: 0 });
    expect(messages[0]!.storedAtMs).toBe(Date.UTC(2030, 4, 9, 7, 8, 9));
  });
});

describe('advance', () => {
  it('delivers a message that was delayed for 2 h after 2 h, and no sooner', async () => {
    const cluster = await start();
    const client = cluster.connect();
    await client.admin.createTopic({ name: 'reminders', queueCount: 1 });
    const deliverAtMs = cluster.now() + 120 * MINUTE_MS;
    await client.producer({ topic: 'reminders' }).send({ body: 'pay', deliverAtMs });
    await cluster.advance('119m');
    await cluster.advance('59s');
    expect(await bodiesOf(cluster, 'reminders')).toEqual([]);
    await cluster.advance('1s');
    expect(await bodiesOf(cluster, 'reminders')).toEqual(['pay']);
  });

  it('brings an order that fails again after each level, 16 times, then it is dead', async () => {
    const cluster = await start();
    const client = cluster.connect();
    await client.admin.createTopic({ name: 'orders', queueCount: 1 });
    const tried: number[] = [];
    const subscription = { topic: 'orders', group: 'billing' };
    client.receiver(subscription, () => {
      tried.push(cluster.now());
      throw new Error('no stock');
    });
    const begunMs = cluster.now();
    await client.producer({ topic: 'orders' }).send({ key: 'order-1', body: 'a book' });
    await cluster.advance('10s');
    expect(tried).toHaveLength(2);
    await cluster.advance('30s');
    expect(tried).toHaveLength(3);
    await cluster.advance('5h');
    expect(tried).toHaveLength(16);
    const afterMs = tried.map((atMs) => atMs - begunMs);
    expect(afterMs.map((ms) => Math.round(ms / 1000)).slice(0, 5)).toEqual([0, 10, 40, 100, 220]);
    const dead: unknown[] = [];
    for await (const { attempts, message } of client.deadLetters.read('billing')) {
      dead.push([attempts, message?.key]);
    }
    expect(dead).toEqual([[16, 'order-1']]);
  });

  it('waits for clients that take their time, as long as it has patience', async () => {
    const cluster = await start({ patienceMs: 200 });
    const client = cluster.connect();
    await client.admin.createTopic({ name: 'orders', queueCount: 1 });
    let tried = 0;
    client.receiver({ topic: 'orders', group: 'billing' }, async () => {
      tried++;
      await pause(20);
      throw new Error('no stock');
    });
    await client.producer({ topic: 'orders' }).send({ body: 'a book' });
    await cluster.advance('40s');
    expect(tried).toBe(3);
  });

  it('ends a lease: who was silent loses the message to another', async () => {
    const cluster = await start();
    const client = cluster.connect();
    await client.admin.createTopic({ name: 'orders', queueCount: 1 });
    await client.producer({ topic: 'orders' }).send({ body: 'one' });
    const receive = (): Promise<readonly Delivery[]> =>
      client.deliveries.receive({ topic: 'orders', group: 'billing', leaseMs: 30_000 });
    const [first] = await receive();
    await cluster.advance('29s');
    expect(await receive()).toEqual([]);
    await cluster.advance('1s');
    const [again] = await receive();
    expect([first!.attempt, again!.attempt]).toEqual([1, 2]);
  });

  it('asks about an undecided half message after 6 s', async () => {
    const cluster = await start();
    const client = cluster.connect();
    await client.admin.createTopic({ name: 'orders', queueCount: 1 });
    const shop = client.transactions('shop');
    await shop.prepare({ topic: 'orders', queue: 0, messages: [{ body: 'paid?' }] });
    const checked: number[] = [];
    await using _checks = shop.checks(({ checkCount }) => {
      checked.push(checkCount);
      return checkCount === 2 ? 'commit' : 'unknown';
    });
    await cluster.advance('5900ms');
    expect(checked).toEqual([]);
    await cluster.advance('100ms');
    expect(checked).toEqual([1]);
    expect(await bodiesOf(cluster, 'orders')).toEqual([]);
    await cluster.advance('30s');
    expect(checked).toEqual([1, 2]);
    expect(await bodiesOf(cluster, 'orders')).toEqual(['paid?']);
  });

  it('lets messages grow old', async () => {
    const cluster = await start();
    const client = cluster.connect();
    await client.admin.createTopic({ name: 'clicks', queueCount: 1, retentionMs: 60 * MINUTE_MS });
    const producer = client.producer({ topic: 'clicks' });
    for (let i = 0; i < 50; i++) await producer.send({ body: 'old' });
    await cluster.advance('50m');
    await producer.send({ body: 'young' });
    const first = async () =>
      (await client.fetch({ topic: 'clicks', queue: 0, offset: 50 })).startOffset;
    expect(await first()).toBe(0);
    await cluster.advance('11m');
    expect(await first()).toBe(50);
    const { messages } = await client.fetch({ topic: 'clicks', queue: 0, offset: 50 });
    expect(messages.map(({ body }) => body.toString())).toEqual(['young']);
  });
});
