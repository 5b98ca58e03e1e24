/**
 * Which groups consume a queue message by message, and how far each has got:
 *
 *   ────────────────────────┬──────────────────
 *   acknowledged, pending   │ never given to
 *   or dead                 │ the group
 *   ────────────────────────┴──────────────────
 *                           ^ cursor
 *
 * What lies below the cursor and is neither pending nor dead is decided for good. Where retention
 * has removed messages that were never given, the group goes on at the start of the queue.
 */
import { ByteReader, ByteWriter, readVersioned } from './bytes.ts';
import type { QueueId } from './commands.ts';
import type { DeliveryFilter } from './delivery-commands.ts';
import type { DueHeap } from './due-heap.ts';
import { PendingDeliveries } from './pending-deliveries.ts';
import type { Pending } from './pending-rows.ts';
import type { StateRow, StateWriter } from './state-port.ts';

export interface Subscription {
  readonly group: string;
  readonly queueId: QueueId;
  /** A key's messages are given one after the other. */
  readonly fifo: boolean;
  /** Messages that it does not fit are passed over. */
  readonly filter: DeliveryFilter | undefined;
  readonly maxAttempts: number;
  cursor: number;
  /** How often a message that should have become a dead letter found no room. */
  deadRefused: number;
  readonly pending: PendingDeliveries;
}

const VERSION = 1;
/** With a filter. */
const FILTER_VERSION = 2;

export class Subscriptions {
  readonly #byQueue = new Map<QueueId, Map<string, Subscription>>();
  readonly #spent: DueHeap<Pending>;
  /** Of new subscriptions: one keeps what it was made with. */
  readonly #maxAttempts: number;
  #count = 0;

  constructor(spent: DueHeap<Pending>, maxAttempts: number) {
    this.#spent = spent;
    this.#maxAttempts = maxAttempts;
  }

  get count(): number {
    return this.#count;
  }

  get(group: string, queueId: QueueId): Subscription | undefined {
    return this.#byQueue.get(queueId)?.get(group);
  }

  *all(): Generator<Subscription> {
    for (const subscriptions of this.#byQueue.values()) yield* subscriptions.values();
  }

  ofQueue(queueId: QueueId): readonly Subscription[] {
    return [...(this.#byQueue.get(queueId)?.values() ?? [])];
  }

  create(
    name: Pick<Subscription, 'group' | 'queueId' | 'fifo' | 'filter'>,
    cursor: number,
    out: StateWriter,
  ): Subscription {
    const facts = { ...name, cursor, maxAttempts: this.#maxAttempts, deadRefused: 0 };
    const subscription = this.#keep(facts);
    putSubscription(subscription, out);
    return subscription;
  }

  remove({ group, queueId }: Subscription, out: StateWriter): void {
    const subscriptions = this.#byQueue.get(queueId)!;
    subscriptions.delete(group);
    if (subscriptions.size === 0) this.#byQueue.delete(queueId);
    this.#count -= 1;
    out.put('subscription', rowKey(group, queueId), undefined);
  }

  load(rows: readonly StateRow[]): void {
    for (const row of rows) this.#keep(readSubscription(row));
  }

  #keep(facts: Omit<Subscription, 'pending'>): Subscription {
    const pending = new PendingDeliveries(facts.maxAttempts, facts.fifo, this.#spent);
    const subscription = { ...facts, pending };
    const { group, queueId } = facts;
    const subscriptions = this.#byQueue.get(queueId);
    if (subscriptions === undefined) this.#byQueue.set(queueId, new Map([[group, subscription]]));
    else subscriptions.set(group, subscription);
    this.#count += 1;
    return subscription;
  }
}

/** Only where it begins at the cursor, or before: what lies between was never looked at. */
export function passOver(subscription: Subscription, from: number, to: number): void {
  const { cursor } = subscription;
  if (from <= cursor && cursor < to) subscription.cursor = to;
}

export function putSubscription(subscription: Subscription, out: StateWriter): void {
  const { group, queueId, fifo, filter, maxAttempts, cursor, deadRefused } = subscription;
  const version = filter === undefined ? VERSION : FILTER_VERSION;
  const row = new ByteWriter(16).u8(version).u8(fifo ? 1 : 0);
  row.uint(maxAttempts).uint(cursor).uint(deadRefused);
  if (filter !== undefined) row.uint(filter.type).text(filter.expression);
  out.put('subscription', rowKey(group, queueId), row.finish());
}

function readSubscription({ key, value }: StateRow): Omit<Subscription, 'pending'> {
  const fromKey = new ByteReader(key);
  const hasFilter = value[0] === FILTER_VERSION;
  const from = readVersioned(value, hasFilter ? FILTER_VERSION : VERSION);
  const facts = {
    group: fromKey.text(),
    queueId: fromKey.u32be(),
    fifo: from.u8() === 1,
    maxAttempts: from.uint(),
    cursor: from.uint(),
    deadRefused: from.uint(),
    filter: hasFilter ? { type: from.uint(), expression: from.text() } : undefined,
  };
  from.expectEnd();
  return facts;
}

function rowKey(group: string, queueId: QueueId): Uint8Array {
  return new ByteWriter(64).text(group).u32be(queueId).finish();
}
