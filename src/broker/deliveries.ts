/**
 * Per-message consumption. A message is leased to one consumer for a time; the log index of the
 * entry that leased it is its fencing token. Only who names the current token may acknowledge it,
 * give it back or keep it longer. Where the lease ends undecided the message is free again, and
 * after its last attempt a dead letter. Times are those of entries: nobody's clock decides.
 */
import type { Entry, LogIndex, ShardTimeMs } from '../../raft/types.ts';
import {
  type ApplyResult,
  type HeldBody,
  type QueueId,
  refused,
  type StoredAt,
} from './commands.ts';
import { DeadLetters, type DeadLetterView, type DeathCause } from './dead-letters.ts';
import type { DeliveriesView, DeliveryCounts, SubscriptionView } from './deliveries-view.ts';
import {
  type DeliveryCommand,
  type DeliveryName,
  type FreshMessage,
  isSameFilter,
  type LeasedMessage,
  type Settled,
  type SettleItem,
} from './delivery-commands.ts';
import { DueHeap } from './due-heap.ts';
import { HeldEntries } from './held-entries.ts';
import type { DataShardLimits } from './limits.ts';
import type { LogFloor } from './log-floor.ts';
import {
  deletePending,
  newPending,
  type Pending,
  type PendingView,
  putPending,
  readPending,
} from './pending-rows.ts';
import type { QueueState, Queues } from './queues.ts';
import { NO_ROOM_WAIT_MS, retryAfterMs } from './retry-levels.ts';
import type { StateRow, StateWriter } from './state-port.ts';
import { passOver, putSubscription, type Subscription, Subscriptions } from './subscriptions.ts';

type CommandOf<Type extends DeliveryCommand['type']> = Extract<DeliveryCommand, { type: Type }>;

export class Deliveries implements DeliveriesView {
  readonly #queues: Queues;
  readonly #limits: DataShardLimits;
  readonly #floor: LogFloor;
  readonly #spent = new DueHeap<Pending>();
  readonly #subscriptions: Subscriptions;
  readonly #held = new HeldEntries();
  readonly #dead = new DeadLetters(this.#held);
  #pendingCount = 0;

  constructor(queues: Queues, limits: DataShardLimits, floor: LogFloor) {
    this.#queues = queues;
    this.#floor = floor;
    this.#limits = limits;
    this.#subscriptions = new Subscriptions(this.#spent, limits.maxDeliveryAttempts);
  }

  get counts(): DeliveryCounts {
    return {
      subscriptions: this.#subscriptions.count,
      pendingDeliveries: this.#pendingCount,
      deadLetters: this.#dead.count,
    };
  }

  subscription(group: string, queueId: QueueId): SubscriptionView | undefined {
    const found = this.#subscriptions.get(group, queueId);
    return found === undefined ? undefined : this.#viewOf(found);
  }

  *subscriptions(): Generator<SubscriptionView> {
    for (const subscription of this.#subscriptions.all()) yield this.#viewOf(subscription);
  }

  due(group: string, queueId: QueueId, nowMs: ShardTimeMs, limit: number): readonly PendingView[] {
    return this.#subscriptions.get(group, queueId)?.pending.due(nowMs, limit) ?? [];
  }

  nextDueAtMs(group: string, queueId: QueueId): ShardTimeMs | undefined {
    return this.#subscriptions.get(group, queueId)?.pending.nextDueAtMs;
  }

  pendingAt(group: string, queueId: QueueId, offset: number): PendingView | undefined {
    return this.#subscriptions.get(group, queueId)?.pending.get(offset);
  }

  pending(group: string, queueId: QueueId): Iterable<PendingView> {
    return this.#subscriptions.get(group, queueId)?.pending.all() ?? [];
  }

  over(nowMs: ShardTimeMs, limit: number): readonly DeliveryName[] {
    const found = this.#spent.due(nowMs, limit);
    return found.map(({ group, queueId, offset }) => ({ group, queueId, offset }));
  }

  nextOverAtMs(): ShardTimeMs | undefined {
    return this.#spent.first()?.dueAtMs;
  }

  deadLetter(group: string, queueId: QueueId, offset: number): DeadLetterView | undefined {
    return this.#dead.get(group, queueId, offset);
  }

  deadLetters(
    group: string,
    queueId: QueueId,
    fromOffset: number,
    limit: number,
  ): readonly DeadLetterView[] {
    return this.#dead.list(group, queueId, fromOffset, limit);
  }

  /** Lowest log index that something pending or dead lies at. */
  lowestIndex(): LogIndex | undefined {
    return this.#held.lowest();
  }

  apply(command: DeliveryCommand, entry: Entry, out: StateWriter): ApplyResult {
    switch (command.type) {
      case 'lease':
        return this.#lease(command, entry, out);
      case 'settle':
        return this.#settle(command, entry.timeMs, out);
      case 'expire':
        return this.#expire(command.deliveries, entry.timeMs, out);
      case 'seekSubscription':
        return this.#seek(command, out);
      case 'settleDead':
        return this.#settleDead(command, entry, out);
      case 'unsubscribe':
        return this.#unsubscribe(command, out);
    }
  }

  /** Whose bytes lie below `index`, the lowest first. */
  below(index: LogIndex, limit: number): readonly HeldBody[] {
    return this.#held.below(index, limit);
  }

  /** What lies at `from` lies in `entry`, too: from now on all of it only there. */
  move(from: StoredAt, entry: Entry, out: StateWriter): ApplyResult {
    const moved = this.#held.at(from.index)?.at.term === from.term;
    if (moved) {
      const to = { term: entry.term, index: entry.index };
      for (const { pending } of this.#subscriptions.all()) {
        for (const one of pending.all()) {
          if (one.at.index === from.index) this.#movePending(one, to, out);
        }
      }
      this.#dead.move(from.index, to, out);
    }
    return { type: 'copied', moved };
  }

  dropQueue(queueId: QueueId, out: StateWriter): void {
    for (const subscription of this.#subscriptions.ofQueue(queueId)) {
      this.#dropSubscription(subscription, out);
    }
  }

  load(
    subscriptions: readonly StateRow[],
    pending: readonly StateRow[],
    dead: readonly StateRow[],
  ): void {
    this.#subscriptions.load(subscriptions);
    const found = pending.map(readPending);
    // Lines are in this order: messages of one entry stand in that of their offsets.
    found.sort((a, b) => a.since - b.since || a.offset - b.offset);
    for (const one of found) this.#keep(this.#subscriptions.get(one.group, one.queueId)!, one);
    this.#dead.load(dead);
  }

  #lease(command: CommandOf<'lease'>, entry: Entry, out: StateWriter): ApplyResult {
    const { group, queueId, fifo, selection } = command;
    const queue = this.#queues.get(queueId);
    if (queue === undefined) return refused({ reason: 'QUEUE_NOT_OPEN', queueId });
    // Messages are named by their places in an entry, which compaction changes.
    if (queue.compaction !== undefined) return refused({ reason: 'TOPIC_COMPACTED', queueId });
    const subscription = this.#subscribed(command, queue, out);
    if (subscription === undefined) return unknownSubscription(group);
    if (subscription.fifo !== fifo) {
      return refused({ reason: 'SUBSCRIPTION_FIFO', group, fifo: subscription.fifo });
    }
    const { filter } = subscription;
    const isSame = isSameFilter(filter, selection?.filter);
    if (!isSame) return refused({ reason: 'SUBSCRIPTION_FILTER', group, filter });
    const messages = [
      ...this.#leaseAgain(subscription, command, entry, out),
      ...this.#leaseFresh(subscription, queue, command, entry, out),
    ];
    const leaseUntilMs = entry.timeMs + command.leaseMs;
    return { type: 'given', token: entry.index, leaseUntilMs, messages };
  }

  #subscribed(
    command: CommandOf<'lease'>,
    queue: QueueState,
    out: StateWriter,
  ): Subscription | undefined {
    const { group, queueId, fifo, fromOffset } = command;
    const known = this.#subscriptions.get(group, queueId);
    if (known !== undefined || fromOffset === undefined) return known;
    const cursor = Math.min(fromOffset, queue.endOffset);
    const filter = command.selection?.filter;
    return this.#subscriptions.create({ group, queueId, fifo, filter }, cursor, out);
  }

  #leaseAgain(
    { pending }: Subscription,
    command: CommandOf<'lease'>,
    entry: Entry,
    out: StateWriter,
  ): LeasedMessage[] {
    const given: LeasedMessage[] = [];
    for (const offset of command.again) {
      const one = pending.get(offset);
      if (one === undefined || !pending.isFree(one, entry.timeMs)) continue;
      pending.change(one, () => hold(one, command, entry));
      putPending(one, out);
      given.push({ offset, attempt: one.attempt });
    }
    return given;
  }

  /** From the cursor on; what the group's filter does not fit is passed over for good. */
  #leaseFresh(
    subscription: Subscription,
    queue: QueueState,
    command: CommandOf<'lease'>,
    entry: Entry,
    out: StateWriter,
  ): LeasedMessage[] {
    const given: LeasedMessage[] = [];
    const { cursor: before } = subscription;
    const { fresh, selection } = command;
    subscription.cursor = Math.max(before, queue.startOffset);
    let offset = command.freshOffset;
    for (let at = 0; at <= fresh.length; at += 1) {
      const passedTo = offset + (selection?.passed[at] ?? 0);
      passOver(subscription, offset, Math.min(passedTo, queue.endOffset));
      offset = passedTo;
      const message = fresh[at];
      if (message === undefined || offset >= queue.endOffset) break;
      const one = this.#leaseOne(subscription, { offset, message }, command, entry, out);
      if (one !== undefined) given.push(one);
      offset += 1;
    }
    if (subscription.cursor !== before) putSubscription(subscription, out);
    return given;
  }

  /** A message whose key is held up is not given, and pending from now on. */
  #leaseOne(
    subscription: Subscription,
    { message, offset }: { readonly message: FreshMessage; readonly offset: number },
    command: CommandOf<'lease'>,
    entry: Entry,
    out: StateWriter,
  ): LeasedMessage | undefined {
    const { pending } = subscription;
    if (offset !== subscription.cursor) return undefined;
    // It was moved since it was picked, and is picked again from where it lies now.
    if (message.at.index <= this.#floor.index) return undefined;
    subscription.cursor += 1;
    // After a seek what was sent again from the dead letters may lie ahead.
    if (pending.get(offset) !== undefined) return undefined;
    const one = newPending(subscription, offset, message, entry);
    const isFree = this.#keep(subscription, one);
    if (isFree) pending.change(one, () => hold(one, command, entry));
    putPending(one, out);
    return isFree ? { offset, attempt: one.attempt } : undefined;
  }

  #settle(command: CommandOf<'settle'>, nowMs: ShardTimeMs, out: StateWriter): ApplyResult {
    const subscription = this.#subscriptions.get(command.group, command.queueId);
    if (subscription === undefined) return unknownSubscription(command.group);
    const items = command.items.map((item) => this.#settleOne(subscription, item, nowMs, out));
    return { type: 'settled', items };
  }

  /** A lease that has run out is still its holder's, until the message is given to another. */
  #settleOne(
    subscription: Subscription,
    { offset, token, verdict }: SettleItem,
    nowMs: ShardTimeMs,
    out: StateWriter,
  ): Settled {
    const one = subscription.pending.get(offset);
    if (one === undefined) return { status: this.#statusOf(subscription, offset) };
    if (one.token !== token) return { status: 'stale' };
    if (!one.isLeased) return { status: 'notLeased' };
    if (verdict.type === 'ack') {
      this.#forget(subscription, one, out);
      return { status: 'ok' };
    }
    if (verdict.type === 'release') return this.#release(subscription, one, nowMs, out);
    if (verdict.type === 'nack' && one.attempt >= subscription.maxAttempts) {
      return this.#bury(subscription, one, { cause: 'nacked', nowMs }, out);
    }
    const waitMs =
      verdict.type === 'extend' ? verdict.extendMs : (verdict.delayMs ?? retryAfterMs(one.attempt));
    return this.#wait(subscription, one, verdict.type === 'extend', nowMs + waitMs, out);
  }

  /** Of what is not pending. */
  #statusOf({ cursor, group, queueId }: Subscription, offset: number): Settled['status'] {
    if (this.#dead.get(group, queueId, offset) !== undefined) return 'dead';
    return offset < cursor ? 'decided' : 'stale';
  }

  #release({ pending }: Subscription, one: Pending, nowMs: ShardTimeMs, out: StateWriter): Settled {
    pending.change(one, () => {
      one.isLeased = false;
      one.attempt -= 1;
      one.dueAtMs = nowMs;
    });
    putPending(one, out);
    return { status: 'ok' };
  }

  #wait(
    { pending }: Subscription,
    one: Pending,
    isLeased: boolean,
    dueAtMs: ShardTimeMs,
    out: StateWriter,
  ): Settled {
    pending.change(one, () => {
      one.isLeased = isLeased;
      one.dueAtMs = dueAtMs;
    });
    putPending(one, out);
    return { status: 'ok', dueAtMs };
  }

  #expire(names: readonly DeliveryName[], nowMs: ShardTimeMs, out: StateWriter): ApplyResult {
    let count = 0;
    for (const { group, queueId, offset } of names) {
      const subscription = this.#subscriptions.get(group, queueId);
      const one = subscription?.pending.get(offset);
      if (subscription === undefined || one === undefined) continue;
      if (!subscription.pending.isOver(one, nowMs)) continue;
      const { isDead } = this.#bury(subscription, one, { cause: 'expired', nowMs }, out);
      if (isDead === true) count += 1;
    }
    return { type: 'buried', count };
  }

  /** Never dropped: where there is no room it waits, and is tried again. */
  #bury(
    subscription: Subscription,
    one: Pending,
    death: { readonly cause: DeathCause; readonly nowMs: ShardTimeMs },
    out: StateWriter,
  ): Settled {
    const { group, queueId, offset, at, position, firstIndex, storedAtMs } = one;
    const isRepeated = this.#dead.get(group, queueId, offset) !== undefined;
    if (!isRepeated && this.#dead.count >= this.#limits.maxDeadLetters) {
      subscription.deadRefused += 1;
      putSubscription(subscription, out);
      return this.#wait(subscription, one, false, death.nowMs + NO_ROOM_WAIT_MS, out);
    }
    const { cause, nowMs: diedAtMs } = death;
    const place = { at, position, firstIndex, storedAtMs };
    const name = { group, queueId, offset };
    const { attempt: attempts, consumer, keyHash } = one;
    const facts = { keyHash, attempts, cause, diedAtMs, consumer };
    this.#dead.add({ ...name, ...place, ...facts }, out);
    this.#forget(subscription, one, out);
    return { status: 'ok', isDead: true };
  }

  #seek(command: CommandOf<'seekSubscription'>, out: StateWriter): ApplyResult {
    const { group, queueId, offset } = command;
    const subscription = this.#subscriptions.get(group, queueId);
    const queue = this.#queues.get(queueId);
    if (subscription === undefined || queue === undefined) return unknownSubscription(group);
    this.#forgetPending(subscription, out);
    subscription.cursor = Math.min(offset, queue.endOffset);
    putSubscription(subscription, out);
    return { type: 'sought', cursor: subscription.cursor };
  }

  #settleDead(command: CommandOf<'settleDead'>, entry: Entry, out: StateWriter): ApplyResult {
    const { group, queueId } = command;
    const subscription = this.#subscriptions.get(group, queueId);
    if (subscription === undefined) return unknownSubscription(group);
    let count = 0;
    // In this order they stand in their lines when rows are loaded, too.
    for (const offset of command.offsets.toSorted((a, b) => a - b)) {
      const letter = this.#dead.get(group, queueId, offset);
      if (letter === undefined) continue;
      if (command.action === 'resend') this.#resend(subscription, letter, entry, out);
      this.#dead.remove(group, queueId, offset, out);
      count += 1;
    }
    return { type: 'deadSettled', count };
  }

  /** Unless the group has it before itself anyway: after a seek it may. */
  #resend(
    subscription: Subscription,
    letter: DeadLetterView,
    entry: Entry,
    out: StateWriter,
  ): void {
    const { offset } = letter;
    const startOffset = this.#queues.get(letter.queueId)?.startOffset ?? 0;
    const isAhead = offset >= Math.max(subscription.cursor, startOffset);
    if (isAhead || subscription.pending.get(offset) !== undefined) return;
    const one = newPending(subscription, offset, letter, entry);
    this.#keep(subscription, one);
    putPending(one, out);
  }

  #unsubscribe(command: CommandOf<'unsubscribe'>, out: StateWriter): ApplyResult {
    const subscription = this.#subscriptions.get(command.group, command.queueId);
    if (subscription === undefined) return unknownSubscription(command.group);
    this.#dropSubscription(subscription, out);
    return { type: 'done' };
  }

  #dropSubscription(subscription: Subscription, out: StateWriter): void {
    this.#forgetPending(subscription, out);
    this.#dead.removeAll(subscription.group, subscription.queueId, out);
    this.#subscriptions.remove(subscription, out);
  }

  #movePending(one: Pending, to: StoredAt, out: StateWriter): void {
    this.#held.remove(one.at.index);
    one.at = to;
    this.#held.add(one);
    putPending(one, out);
  }

  #keep({ pending }: Subscription, one: Pending): boolean {
    this.#pendingCount += 1;
    this.#held.add(one);
    return pending.add(one);
  }

  #forget({ pending }: Subscription, one: Pending, out: StateWriter): void {
    this.#pendingCount -= 1;
    this.#held.remove(one.at.index);
    pending.remove(one);
    deletePending(one, out);
  }

  #forgetPending(subscription: Subscription, out: StateWriter): void {
    const { pending } = subscription;
    for (const one of pending.all()) {
      this.#pendingCount -= 1;
      this.#held.remove(one.at.index);
      deletePending(one, out);
    }
    pending.clear();
  }

  #viewOf(subscription: Subscription): SubscriptionView {
    const { group, queueId, fifo, filter, pending } = subscription;
    const { maxAttempts, cursor, deadRefused } = subscription;
    const dead = this.#dead.countOf(group, queueId);
    const { leased, size } = pending;
    const name = { group, queueId, fifo, filter, maxAttempts, cursor };
    return { ...name, pending: size, leased, dead, deadRefused };
  }
}

function hold(
  one: Pending,
  { leaseMs, consumer }: Pick<CommandOf<'lease'>, 'leaseMs' | 'consumer'>,
  entry: Entry,
): void {
  one.attempt += 1;
  one.isLeased = true;
  one.token = entry.index;
  one.consumer = consumer;
  one.dueAtMs = entry.timeMs + leaseMs;
}

function unknownSubscription(group: string): ApplyResult {
  return refused({ reason: 'SUBSCRIPTION_NOT_FOUND', group });
}
