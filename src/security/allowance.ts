/**
 * What a principal may still ask of this node: a bucket per rate of its quota, which fills as time
 * goes. A request that is larger than a bucket waits for a full one, a read, whose size is known
 * only afterwards, for one that is not empty; what they take beyond it is owed, and whatever comes
 * then waits until that is made up for. So in the long run nothing goes over a rate.
 */
import type { QuotaRate, QuotaView } from '../cluster/quota-api.ts';
import { CallError } from '../status.ts';

/** What a bucket holds: a principal that was quiet may come with so much at once. */
export const BURST_SECONDS = 1;
/** Whoever owes more than that is told to come back, and then told again. */
const MAX_WAIT_MS = 60_000;

/** What must be there for a read, which may then take more. */
const ANYTHING = 1;

const WHAT: Readonly<Record<QuotaRate, string>> = {
  producedBytesPerSecond: 'bytes produced',
  fetchedBytesPerSecond: 'bytes fetched',
  requestsPerSecond: 'requests',
};

export type ByteRate = 'producedBytesPerSecond' | 'fetchedBytesPerSecond';

export interface AllowanceParts {
  readonly quotas: () => QuotaView;
  readonly nowMs: () => number;
  readonly exceeded: (rate: QuotaRate) => void;
}

export class Allowance {
  readonly #parts: AllowanceParts;
  readonly #principal: string;
  readonly #buckets: Record<QuotaRate, Bucket | undefined> = {
    producedBytesPerSecond: undefined,
    fetchedBytesPerSecond: undefined,
    requestsPerSecond: undefined,
  };
  #version = -1;

  constructor(parts: AllowanceParts, principal: string) {
    this.#parts = parts;
    this.#principal = principal;
  }

  /**
   * A request that comes with so many bytes, or will be answered with some. Takes nothing when it
   * is refused.
   */
  request(rate: ByteRate | undefined, bytes: number): CallError | undefined {
    const nowMs = this.#now();
    const brings = rate === 'producedBytesPerSecond' ? bytes : ANYTHING;
    const over =
      this.#over('requestsPerSecond', 1, nowMs) ?? (rate && this.#over(rate, brings, nowMs));
    if (over !== undefined) return over;
    this.#buckets.requestsPerSecond?.take(1);
    if (rate === 'producedBytesPerSecond') this.#buckets[rate]?.take(bytes);
    return undefined;
  }

  /** Bytes that were read for it. How long it has to wait for more; 0 = not at all. */
  fetched(bytes: number): number {
    const nowMs = this.#now();
    const bucket = this.#buckets.fetchedBytesPerSecond;
    if (bucket === undefined) return 0;
    // First: what has flowed in until now may be more than the bucket holds.
    bucket.fill(nowMs);
    bucket.take(bytes);
    return bucket.waitMs(ANYTHING, nowMs);
  }

  #over(rate: QuotaRate, amount: number, nowMs: number): CallError | undefined {
    const bucket = this.#buckets[rate];
    const retryAfterMs = bucket?.waitMs(amount, nowMs) ?? 0;
    if (retryAfterMs === 0) return undefined;
    this.#parts.exceeded(rate);
    const text =
      `the quota of ${JSON.stringify(this.#principal)} on each node is ${bucket!.perSecond} ` +
      `${WHAT[rate]} per second: wait ${retryAfterMs} ms`;
    return new CallError('QUOTA_EXCEEDED', text, { retryAfterMs });
  }

  /** Follows the quotas: a rate that was changed begins with a full bucket. */
  #now(): number {
    const nowMs = this.#parts.nowMs();
    const quotas = this.#parts.quotas();
    if (quotas.version === this.#version) return nowMs;
    this.#version = quotas.version;
    const limits = quotas.of(this.#principal);
    for (const rate of Object.keys(WHAT) as QuotaRate[]) {
      const perSecond = limits?.[rate];
      if (perSecond === this.#buckets[rate]?.perSecond) continue;
      this.#buckets[rate] = perSecond === undefined ? undefined : new Bucket(perSecond, nowMs);
    }
    return nowMs;
  }
}

class Bucket {
  readonly perSecond: number;
  /** Below 0: what is owed. */
  #left: number;
  #atMs: number;

  constructor(perSecond: number, nowMs: number) {
    this.perSecond = perSecond;
    this.#left = perSecond * BURST_SECONDS;
    this.#atMs = nowMs;
  }

  /** Until so much is in it, or as much as it holds. */
  waitMs(amount: number, nowMs: number): number {
    this.fill(nowMs);
    const missing = Math.min(amount, this.perSecond * BURST_SECONDS) - this.#left;
    if (missing <= 0) return 0;
    return Math.min(Math.ceil((missing / this.perSecond) * 1000), MAX_WAIT_MS);
  }

  fill(nowMs: number): void {
    const added = ((nowMs - this.#atMs) / 1000) * this.perSecond;
    this.#left = Math.min(this.#left + added, this.perSecond * BURST_SECONDS);
    this.#atMs = nowMs;
  }

  take(amount: number): void {
    this.#left -= amount;
  }
}

/** Principals of whom it is remembered what is left to them: the first to come is forgotten. */
const MAX_PRINCIPALS = 10_000;

/** Those of all principals of one node. */
export class Allowances {
  readonly #parts: AllowanceParts;
  readonly #known = new Map<string, Allowance>();

  constructor(parts: AllowanceParts) {
    this.#parts = parts;
  }

  of(principal: string): Allowance {
    const known = this.#known.get(principal);
    if (known !== undefined) return known;
    const [oldest] = this.#known.keys();
    if (this.#known.size >= MAX_PRINCIPALS) this.#known.delete(oldest!);
    const allowance = new Allowance(this.#parts, principal);
    this.#known.set(principal, allowance);
    return allowance;
  }
}
