/**
 * Sends orders, reads them back, commits the place. Checks itself: exits with an error when what
 * was read is not what was written.
 *
 *     npm run build && node dist/examples/typescript/orders.js
 */
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { connect, type Message } from 'holdfast';

const ORDERS = 1000;
const CUSTOMERS = 20;

const servers = process.env.HOLDFAST_SERVER ?? 'localhost:7401';
await using holdfast = connect({ servers });
const topic = `example-orders-${randomUUID()}`;
await holdfast.admin.createTopic({ name: topic, queueCount: 3 });

// Sends that are made together leave together. The orders of one customer share a queue, so they
// are read in the order of their sends.
await using producer = holdfast.producer({ topic });
const acks = await Promise.all(
  Array.from({ length: ORDERS }, (_, i) => {
    const customer = `customer-${i % CUSTOMERS}`;
    const body = JSON.stringify({ order: i, customer });
    return producer.send({ key: `order-${i}`, orderingKey: customer, body });
  }),
);
console.log(`${acks.length} orders stored, for example ${JSON.stringify(acks[0])}`);

// Each acknowledgement names the place where its message is found, for ever.
const seen = new Map<string, Message>();
const lastOfCustomer = new Map<string, number>();
await using consumer = holdfast.consumer({ topic, group: 'billing', from: 'earliest' });
for await (const message of consumer) {
  const { order, customer } = JSON.parse(message.body.toString()) as Order;
  const ack = acks[order];
  assert.equal(message.queue, ack?.queue);
  assert.equal(message.offset, ack?.offset);
  assert.equal(message.messageId, ack?.messageId);
  assert.ok(order > (lastOfCustomer.get(customer) ?? -1), `${customer} out of order`);
  lastOfCustomer.set(customer, order);
  seen.set(message.key, message);
  if (seen.size === ORDERS) break;
}
assert.equal(seen.size, ORDERS);

interface Order {
  readonly order: number;
  readonly customer: string;
}

// The next member of the group goes on here.
await consumer.commit();
const places = await holdfast.admin.groupOffsets({ group: 'billing', topic });
assert.deepEqual(
  places.map(({ lag }) => lag),
  [0, 0, 0],
);
await holdfast.admin.deleteTopic(topic);
console.log('every order was read back at its place, in its customer’s order: ok');
