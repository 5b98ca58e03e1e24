/**
 * The tests of an application, with node:test: a real cluster in this process, whose time is the
 * test's. Hours pass in milliseconds, and nodes die when the test says so.
 *
 *     npm run build && node --test dist/examples/typescript/application.test.js
 */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import type { Delivery, Holdfast, Message } from 'holdfast';
import { startTestCluster, type TestCluster } from 'holdfast/testing';

/** The application: bills each order once the warehouse has its goods. */
class Billing {
  readonly billed: string[] = [];
  readonly attempts: number[] = [];
  inStock = false;

  handle({ key, attempt }: Delivery): void {
    this.attempts.push(attempt);
    if (!this.inStock) throw new Error(`nothing in stock for ${key}`);
    if (!this.billed.includes(key)) this.billed.push(key);
  }
}

let cluster: TestCluster;
let holdfast: Holdfast;

before(async () => {
  cluster = await startTestCluster({ nodes: 3 });
  holdfast = cluster.connect();
});
after(() => cluster.stop());

/** Every test has a topic of its own, so that one cluster does for all. */
async function openShop(topic: string): Promise<Billing> {
  await holdfast.admin.createTopic({ name: topic, queueCount: 1 });
  const billing = new Billing();
  holdfast.receiver({ topic, group: `${topic}-billing` }, (delivery) => billing.handle(delivery));
  return billing;
}

async function read(topic: string): Promise<readonly Message[]> {
  const found = await holdfast.fetch({ topic, queue: 0, offset: 0, linearizable: true });
  return found.messages;
}

test('an order that cannot be billed is tried again after 10 s', async () => {
  const billing = await openShop('retried');
  await holdfast.producer({ topic: 'retried' }).send({ key: 'order-1' });
  await cluster.advance('9s');
  assert.deepEqual(billing.attempts, [1]);
  billing.inStock = true;
  await cluster.advance('1s');
  assert.deepEqual(billing.attempts, [1, 2]);
  assert.deepEqual(billing.billed, ['order-1']);
});

test('after 16 attempts it is a dead letter', async () => {
  const billing = await openShop('hopeless');
  await holdfast.producer({ topic: 'hopeless' }).send({ key: 'order-2' });
  await cluster.advance('3h');
  assert.equal(billing.attempts.length, 16);
  const dead: string[] = [];
  for await (const { message } of holdfast.deadLetters.read('hopeless-billing')) {
    dead.push(message?.key ?? 'unreadable');
  }
  assert.deepEqual(dead, ['order-2']);
});

test('a payment that nobody confirmed is asked about after 6 s', async () => {
  await holdfast.admin.createTopic({ name: 'payments', queueCount: 1 });
  const payments = holdfast.transactions('payments');
  await payments.prepare({ topic: 'payments', queue: 0, messages: [{ key: 'payment-1' }] });
  // The application was killed here, before commit. Started again, it answers.
  await using _checks = payments.checks(() => 'commit');
  await cluster.advance('5s');
  assert.equal((await read('payments')).length, 0);
  await cluster.advance('1s');
  assert.deepEqual(
    (await read('payments')).map(({ key }) => key),
    ['payment-1'],
  );
});

test('a reminder comes after 2 h', async () => {
  await holdfast.admin.createTopic({ name: 'reminders', queueCount: 1 });
  // By the cluster's clock: Date.now() is of another time.
  const deliverAtMs = cluster.now() + 2 * 3_600_000;
  await holdfast.producer({ topic: 'reminders' }).send({ key: 'pay', deliverAtMs });
  await cluster.advance('119m');
  assert.equal((await read('reminders')).length, 0);
  await cluster.advance('1m');
  assert.equal((await read('reminders')).length, 1);
});

test('an order is stored once though the leader dies before it acknowledges', async () => {
  await holdfast.admin.createTopic({ name: 'killed', queueCount: 1 });
  const producer = holdfast.producer({ topic: 'killed' });
  await producer.send({ key: 'order-1' });
  const leader = cluster.leaderOf('killed', 0)!;
  const sending = producer.send({ key: 'order-2' });
  await cluster.kill(leader);
  await cluster.settle();
  await sending;
  const keys = (await read('killed')).map(({ key }) => key);
  assert.deepEqual(keys, ['order-1', 'order-2']);
  await cluster.restart(leader);
});

test('a majority goes on without the node that is cut off', async () => {
  await holdfast.admin.createTopic({ name: 'cut', queueCount: 1 });
  const leader = cluster.leaderOf('cut', 0)!;
  cluster.partition([leader]);
  await cluster.settle();
  const rest = cluster.connect({ nodes: [1, 2, 3].filter((node) => node !== leader) });
  await rest.producer({ topic: 'cut' }).send({ key: 'order-1' });
  cluster.heal();
  await cluster.settle();
  assert.equal((await read('cut')).length, 1);
});
