/**
 * The leases of what handlers work on, extended while they do. A lease ends here no later than at
 * the server: it counts from when the call that made or extended it was sent.
 */
import type { Deliveries, Delivery, SettleResult, SubscriptionName } from './deliveries.ts';
import { clientError } from './errors.ts';
import type { Lease } from './receiver.ts';

export interface LeaseOptions extends SubscriptionName {
  readonly leaseMs: number;
}

/** What part of a lease is over when it is extended; the rest is there to repeat a failed call. */
const EXTEND_AFTER = 1 / 3;

export class HeldLease implements Lease {
  readonly delivery: Delivery;
  endsAtMs: number;
  extendAtMs: number;
  isExtending = false;
  /** Another consumer may have the message: told once. */
  isLost = false;
  /** By the word of the server it is not held: there is nothing left to decide. */
  isTaken = false;
  /** undefined: it is to be acknowledged. */
  nack: { readonly delayMs: number | undefined } | undefined;
  readonly #abort = new AbortController();

  constructor(delivery: Delivery, endsAtMs: number, extendAtMs: number) {
    this.delivery = delivery;
    this.endsAtMs = endsAtMs;
    this.extendAtMs = extendAtMs;
  }

  get signal(): AbortSignal {
    return this.#abort.signal;
  }

  giveBack(delayMs?: number): void {
    this.nack ??= { delayMs };
  }

  abort(reason: unknown): void {
    this.#abort.abort(reason);
  }
}

export class Leases {
  readonly #deliveries: Deliveries;
  readonly #options: LeaseOptions;
  readonly #failed: (error: unknown, delivery: Delivery | undefined) => void;
  readonly #held = new Set<HeldLease>();
  #timer: NodeJS.Timeout | undefined;

  constructor(
    deliveries: Deliveries,
    options: LeaseOptions,
    failed: (error: unknown, delivery: Delivery | undefined) => void,
  ) {
    this.#deliveries = deliveries;
    this.#options = options;
    this.#failed = failed;
  }

  hold(delivery: Delivery, sentAtMs: number): HeldLease {
    const { leaseMs } = this.#options;
    const held = new HeldLease(delivery, sentAtMs + leaseMs, sentAtMs + leaseMs * EXTEND_AFTER);
    this.#held.add(held);
    if (this.#timer === undefined) this.#arm();
    return held;
  }

  release(held: HeldLease): void {
    this.#held.delete(held);
    if (this.#held.size === 0) this.#disarm();
  }

  close(): void {
    this.#held.clear();
    this.#disarm();
  }

  #disarm(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }

  #arm(): void {
    this.#disarm();
    let nextAtMs = Number.POSITIVE_INFINITY;
    for (const held of this.#held) {
      if (held.isLost) continue;
      nextAtMs = Math.min(nextAtMs, held.isExtending ? held.endsAtMs : held.extendAtMs);
    }
    if (nextAtMs === Number.POSITIVE_INFINITY) return;
    this.#timer = setTimeout(() => this.#due(), Math.max(1, nextAtMs - performance.now()));
  }

  #due(): void {
    const nowMs = performance.now();
    const due: HeldLease[] = [];
    for (const held of this.#held) {
      if (held.isLost) continue;
      if (held.endsAtMs <= nowMs) this.#lose(held, 'its lease ended before it was extended');
      else if (held.extendAtMs <= nowMs && !held.isExtending) due.push(held);
    }
    if (due.length > 0) void this.#extend(due, nowMs);
    this.#arm();
  }

  async #extend(due: readonly HeldLease[], sentAtMs: number): Promise<void> {
    const { leaseMs } = this.#options;
    const timeoutMs = Math.min(...due.map(({ endsAtMs }) => endsAtMs)) - sentAtMs;
    const tokens = due.map(({ delivery }) => delivery.token);
    for (const held of due) held.isExtending = true;
    try {
      const results = await this.#deliveries.extend(this.#options, tokens, leaseMs, { timeoutMs });
      for (const [at, held] of due.entries()) this.#extended(held, results[at]!, sentAtMs);
    } catch (error) {
      // The leases run on; each handler hears of it when its own is over.
      this.#failed(error, undefined);
    }
    const againAtMs = performance.now() + leaseMs * EXTEND_AFTER;
    for (const held of due) {
      held.isExtending = false;
      held.extendAtMs = Math.min(againAtMs, held.endsAtMs);
    }
    this.#arm();
  }

  #extended(held: HeldLease, { status }: SettleResult, sentAtMs: number): void {
    if (status === 'SETTLED') held.endsAtMs = sentAtMs + this.#options.leaseMs;
    else if (status !== 'OUTCOME_OPEN') {
      held.isTaken = true;
      this.#lose(held, `an extension was answered ${status}`);
    }
  }

  #lose(held: HeldLease, why: string): void {
    // Its handler is done: what it decided is on its way.
    if (held.isLost || !this.#held.has(held)) return;
    held.isLost = true;
    const { messageId } = held.delivery;
    const message = `message ${messageId} may be another consumer's by now: ${why}`;
    const error = clientError('ABORTED', 'CLIENT_LEASE_LOST', message);
    held.abort(error);
    this.#failed(error, held.delivery);
  }
}
