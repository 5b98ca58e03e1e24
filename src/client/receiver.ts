import type { Deliveries, Delivery, ReceiveOptions } from './deliveries.ts';
import { Leases } from './leases.ts';
import { POLL_TIMEOUT_MS, POLL_WAIT_MS, pollLoop } from './poll-loop.ts';
import { Settler } from './settler.ts';

export interface ReceiverOptions
  extends Pick<
    ReceiveOptions,
    'group' | 'topic' | 'leaseMs' | 'fifo' | 'from' | 'consumer' | 'filter'
  > {
  /** Messages handled at the same time, 1 to 256. Default 16. */
  readonly concurrency?: number | undefined;
  /** Told of what no handler hears of: failed calls, and leases that were lost. */
  readonly onError?: ((error: unknown, delivery: Delivery | undefined) => void) | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** What a handler holds while it runs: extended for as long as that takes. */
export interface Lease {
  /** Aborted when the message may be another consumer's: what is not written yet should not be. */
  readonly signal: AbortSignal;
  /** Not now: the message comes again after `delayMs` (default: by the level of its attempt). */
  giveBack(delayMs?: number): void;
}

/**
 * Returns (or resolves): the message is acknowledged. Throws (or rejects): it is given back, and is
 * a dead letter after its last attempt.
 */
export type DeliveryHandler = (delivery: Delivery, lease: Lease) => Promise<void> | void;

export interface ReceiverHost {
  readonly deliveries: Deliveries;
  closed(receiver: Receiver): void;
}

const DEFAULT_CONCURRENCY = 16;
const MAX_CONCURRENCY = 256;
const DEFAULT_LEASE_MS = 30_000;

/**
 * Leases as many messages as there are handlers free for them. Fails only on errors that repeating
 * would not cure; `closed` tells.
 */
export class Receiver implements AsyncDisposable {
  /** Resolves when the last handler is done; rejects with what ended it. */
  readonly closed: Promise<void>;
  readonly #options: ReceiverOptions;
  readonly #handler: DeliveryHandler;
  readonly #host: ReceiverHost;
  readonly #concurrency: number;
  readonly #leases: Leases;
  readonly #settler: Settler;
  readonly #stop = new AbortController();
  readonly #running = new Set<Promise<void>>();
  #roomMade: () => void = () => undefined;
  readonly #onAbort = () => this.#stop.abort();

  constructor(options: ReceiverOptions, handler: DeliveryHandler, host: ReceiverHost) {
    const { concurrency = DEFAULT_CONCURRENCY, leaseMs = DEFAULT_LEASE_MS } = options;
    if (!(Number.isInteger(concurrency) && concurrency > 0 && concurrency <= MAX_CONCURRENCY)) {
      const range = `a whole number from 1 to ${MAX_CONCURRENCY}`;
      throw new TypeError(`receiver: concurrency must be ${range}, not ${concurrency}`);
    }
    this.#options = options;
    this.#handler = handler;
    this.#host = host;
    this.#concurrency = concurrency;
    const failed = (error: unknown, delivery: Delivery | undefined) =>
      options.onError?.(error, delivery);
    this.#leases = new Leases(host.deliveries, { ...options, leaseMs }, failed);
    this.#settler = new Settler(host.deliveries, options, failed);
    options.signal?.addEventListener('abort', this.#onAbort);
    if (options.signal?.aborted === true) this.#stop.abort();
    this.closed = this.#run().finally(() => this.#over());
    // Whoever does not look at `closed` has `onError`.
    this.closed.catch(() => undefined);
  }

  /** Takes nothing more, and waits until what it holds is decided. */
  async close(): Promise<void> {
    this.#stop.abort();
    await this.closed.catch(() => undefined);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #run(): Promise<void> {
    const failed = (error: unknown) => this.#options.onError?.(error, undefined);
    try {
      await pollLoop(() => this.#poll(), this.#stop.signal, failed);
    } finally {
      await Promise.all(this.#running);
    }
  }

  async #poll(): Promise<void> {
    const sentAtMs = performance.now();
    const deliveries = await this.#receive();
    for (const delivery of deliveries) this.#begin(delivery, sentAtMs);
    if (this.#running.size >= this.#concurrency) await this.#room();
  }

  #receive(): Promise<Delivery[]> {
    const { group, topic, leaseMs, fifo, from, consumer, filter } = this.#options;
    const maxMessages = this.#concurrency - this.#running.size;
    const how = { group, topic, leaseMs, fifo, from, consumer, filter, maxMessages };
    const options = { timeoutMs: POLL_TIMEOUT_MS, signal: this.#stop.signal };
    return this.#host.deliveries.receive({ ...how, maxWaitMs: POLL_WAIT_MS }, options);
  }

  #begin(delivery: Delivery, sentAtMs: number): void {
    const work = this.#handle(delivery, sentAtMs).finally(() => {
      this.#running.delete(work);
      this.#roomMade();
    });
    this.#running.add(work);
  }

  async #handle(delivery: Delivery, sentAtMs: number): Promise<void> {
    const held = this.#leases.hold(delivery, sentAtMs);
    try {
      await this.#handler(delivery, held);
    } catch (error) {
      held.giveBack();
      this.#options.onError?.(error, delivery);
    }
    this.#leases.release(held);
    // Whoever has it now decides. A lease that only ran out is still ours if nobody else has it.
    if (!held.isTaken) await this.#settler.settle(held);
  }

  /** Until a handler is done. A stop needs not wait for that: the loop ends then. */
  #room(): Promise<void> {
    return new Promise((resolve) => {
      this.#roomMade = resolve;
    });
  }

  #over(): void {
    this.#leases.close();
    this.#options.signal?.removeEventListener('abort', this.#onAbort);
    this.#host.closed(this);
  }
}
