/**
 * A web shop: an order has five minutes to be paid, and the warehouse must hear of every paid order
 * and of no other, whatever crashes in between.
 *
 *   1. prepare: the message to the warehouse is stored, and nobody can see it
 *   2. the local transaction: the order goes into the shop's own database, the customer pays
 *   3. commit, rollback, or unknown when the customer is still looking for the credit card
 *   4. who never said (a crash) or did not know is asked again: the database decides
 *
 *     npm run build && node dist/examples/typescript/web-shop.js --fast
 *
 * With --fast the five minutes are four seconds. Checks itself: exits with an error when the
 * warehouse heard of anything else than the paid orders.
 */
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Check, connect, type Decision } from 'holdfast';

const fast = process.argv.includes('--fast');
const payWithinMs = fast ? 4_000 : 5 * 60_000;
const servers = process.env.HOLDFAST_SERVER ?? 'localhost:7401';

/** The shop's own database: what really happened to an order. */
interface OrderRow {
  readonly placedAtMs: number;
  state: 'open' | 'paid' | 'declined';
}
const database = new Map<string, OrderRow>();

await using holdfast = connect({ servers });
const warehouse = `example-warehouse-${randomUUID()}`;
await holdfast.admin.createTopic({ name: warehouse, queueCount: 2 });
const shop = holdfast.transactions(`example-shop-${randomUUID()}`);

type Customer = 'pays at once' | 'card declined' | 'pays later' | 'walks away' | 'shop crashes';

async function placeOrder(order: string, customer: Customer): Promise<void> {
  const messages = [{ key: order, body: `ship ${order}` }];
  const transaction = await shop.prepare({ topic: warehouse, orderingKey: order, messages });
  const row: OrderRow = { placedAtMs: Date.now(), state: 'open' };
  database.set(order, row);
  if (customer === 'pays at once') {
    row.state = 'paid';
    await transaction.commit();
  } else if (customer === 'card declined') {
    row.state = 'declined';
    await transaction.rollback();
  } else if (customer === 'shop crashes') {
    // Paid, but the process died before it could say so: no decision ever leaves.
    row.state = 'paid';
  } else {
    // Saying `unknown` is polite, and gives time: the check comes after a full interval (30 s). Who
    // says nothing is asked after 6 s.
    if (!fast) await transaction.unknown();
    if (customer === 'pays later') void payLater(row);
  }
  console.log(`${order}: ${customer}`);
}

async function payLater(row: OrderRow): Promise<void> {
  await sleep(payWithinMs / 2);
  row.state = 'paid';
}

/** Asked by the cluster about every order that nobody decided. */
function decide(check: Check): Decision {
  const order = check.parts[0]?.messages[0]?.key ?? '';
  const row = database.get(order);
  const decision = decisionFor(row);
  console.log(`${order}: check ${check.checkCount} → ${decision}`);
  if (decision !== 'unknown') undecided.delete(order);
  if (undecided.size === 0) allDecided();
  return decision;
}

function decisionFor(row: OrderRow | undefined): Decision {
  if (row === undefined || row.state === 'declined') return 'rollback';
  if (row.state === 'paid') return 'commit';
  return Date.now() - row.placedAtMs < payWithinMs ? 'unknown' : 'rollback';
}

const undecided = new Set(['order-3', 'order-4', 'order-5']);
let allDecided: () => void = () => undefined;
const decided = new Promise<void>((resolve) => {
  allDecided = resolve;
});

await placeOrder('order-1', 'pays at once');
await placeOrder('order-2', 'card declined');
await placeOrder('order-3', 'pays later');
await placeOrder('order-4', 'walks away');
await placeOrder('order-5', 'shop crashes');

const checks = shop.checks(decide, { onError: (error) => console.error(error) });
await decided;
// Waits until the last decisions are delivered.
await checks.close();

const shipped: string[] = [];
for (const queue of [0, 1]) {
  const [place] = await holdfast.admin.listOffsets({ topic: warehouse, queues: [queue] });
  if (place === undefined || place.endOffset === 0) continue;
  const { messages } = await holdfast.fetch({ topic: warehouse, queue, offset: 0 });
  shipped.push(...messages.map((message) => message.body.toString()));
}
shipped.sort();
assert.deepEqual(shipped, ['ship order-1', 'ship order-3', 'ship order-5']);
await holdfast.admin.deleteTopic(warehouse);
console.log(`the warehouse heard of the paid orders and of no other: ${shipped.join(', ')}: ok`);
