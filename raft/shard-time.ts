/**
 * Shard time: what a leader writes into its entries (internals rule 10). It never falls, and is at
 * most 250 ms ahead of the median of the voters' wall clocks, so that no single clock, the leader's
 * included, makes time jump. Between what nodes tell of their clocks, and while too few are known,
 * it advances by the leader's monotonic clock.
 */
import type { Instant } from './state.ts';
import type { Configuration, MonotonicMs, NodeId, ReplicaId, ShardTimeMs } from './types.ts';

/** The leader's own wall clock counts so far around the median. */
export const SHARD_TIME_TOLERANCE_MS = 250;

interface Sample {
  readonly wallMs: ShardTimeMs;
  /** When it came, by the own monotonic clock. */
  readonly atMs: MonotonicMs;
}

/** The wall clocks of other nodes, as they told. */
export class WallClocks {
  readonly #samples = new Map<NodeId, Sample>();
  readonly #lifeMs: number;

  /** A sample counts for `lifeMs`: afterwards that clock may show anything. */
  constructor(lifeMs: number) {
    this.#lifeMs = lifeMs;
  }

  heard(node: NodeId, wallMs: ShardTimeMs, nowMs: MonotonicMs): void {
    this.#samples.set(node, { wallMs, atMs: nowMs });
  }

  at(node: NodeId, nowMs: MonotonicMs): ShardTimeMs | undefined {
    const sample = this.#samples.get(node);
    if (sample === undefined || nowMs - sample.atMs > this.#lifeMs) return undefined;
    return sample.wallMs + (nowMs - sample.atMs);
  }
}

/**
 * The lower median, of both halves of a joint configuration the smaller one. A clock that is not
 * known counts as infinitely late: whatever it shows, the true median is not before this one, and
 * without a quorum of clocks there is none.
 */
export function medianClock(
  { voters, votersOutgoing }: Pick<Configuration, 'voters' | 'votersOutgoing'>,
  clockOf: (voter: ReplicaId) => ShardTimeMs | undefined,
): ShardTimeMs | undefined {
  const halves = [voters, votersOutgoing].filter((half) => half.length > 0);
  const medians = halves.map((half) => {
    const clocks = half.map((voter) => clockOf(voter) ?? Number.NEGATIVE_INFINITY);
    return clocks.sort((one, two) => one - two)[Math.ceil(half.length / 2) - 1]!;
  });
  const least = Math.min(...medians);
  return Number.isFinite(least) ? least : undefined;
}

/** The time of a log's next entry. */
export class ShardTime {
  /** 0: there is no entry yet. */
  #lastMs: ShardTimeMs = 0;
  #sinceMs: MonotonicMs = Number.POSITIVE_INFINITY;

  /** An entry of that time is the last one now. */
  appended(timeMs: ShardTimeMs, nowMs: MonotonicMs): void {
    this.#lastMs = timeMs;
    this.#sinceMs = nowMs;
  }

  /** As `appended`, unless it is known: of an entry that came in another way. */
  notice(lastMs: ShardTimeMs, nowMs: MonotonicMs): void {
    if (lastMs !== this.#lastMs) this.appended(lastMs, nowMs);
  }

  /** `medianMs` undefined: no quorum of clocks is known. */
  next({ nowMs, wallMs }: Instant, medianMs: ShardTimeMs | undefined): ShardTimeMs {
    if (medianMs === undefined) {
      if (this.#lastMs === 0) return Math.floor(wallMs);
      const passedMs = Math.max(0, nowMs - this.#sinceMs);
      return this.#lastMs + Math.floor(passedMs);
    }
    const least = medianMs - SHARD_TIME_TOLERANCE_MS;
    const claimedMs = Math.max(least, Math.min(wallMs, medianMs + SHARD_TIME_TOLERANCE_MS));
    return Math.max(this.#lastMs, Math.floor(claimedMs));
  }
}
