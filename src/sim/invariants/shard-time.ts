/**
 * Internals rule 10: shard time never falls along a log, and no entry is given a time further ahead
 * of the median of the voters' wall clocks than the rule allows, unless it only follows the entry
 * before it by the time that passed since (no quorum of clocks was known, or a clock was set back).
 * A leader's first entry is by the clocks that are now, or time would jump with a later one.
 */
import type {
  Configuration,
  Entry,
  NodeId,
  ReplicaId,
  ShardId,
  Term,
} from '../../../raft/types.ts';
import { expect } from '../failure.ts';

const AHEAD_MAX_MS = 250;
/** What nodes tell of their clocks is advanced by another clock for an election timeout. */
const SAMPLING_SLACK_MS = 300;
/** What a vote tells of a clock waits for a disk and for the network. */
const LATE_MAX_MS = 60_000;
/** Of the fastest monotonic clock, to the world's. */
const RATE_MAX = 1.1;

interface Proposed {
  readonly timeMs: number;
  readonly atMs: number;
}

export class ShardTimeRule {
  readonly #proposed = new Map<string, Proposed>();

  /** Every entry is met first where it was proposed. */
  isNew(shard: ShardId, { index, term }: Pick<Entry, 'index' | 'term'>): boolean {
    return !this.#proposed.has(`${shard}/${term}/${index}`);
  }

  /**
   * `beforeTerm`: of the entry before it in the proposer's log. `medianMs`: the highest that the
   * median of the voters' clocks may have seemed to be; undefined = nobody can tell.
   */
  proposed(
    shard: ShardId,
    { index, term, timeMs }: Pick<Entry, 'index' | 'term' | 'timeMs'>,
    beforeTerm: Term | undefined,
    atMs: number,
    medianMs: number | undefined,
  ): void {
    this.#proposed.set(`${shard}/${term}/${index}`, { timeMs, atMs });
    const before = this.#proposed.get(`${shard}/${beforeTerm}/${index - 1}`);
    if (before === undefined) return;
    const what = () => `shard ${shard} entry ${index} of term ${term}: ${timeMs}`;
    const fell = () => `${what()} after ${before.timeMs}`;
    expect(timeMs >= before.timeMs, 'shard-time-never-falls', fell);
    if (medianMs === undefined) return;
    const passedMs = (atMs - before.atMs) * RATE_MAX;
    const latestMs = Math.max(
      medianMs + AHEAD_MAX_MS + SAMPLING_SLACK_MS,
      before.timeMs + passedMs + SAMPLING_SLACK_MS,
    );
    const ahead = () => `${what()}, median ${medianMs}, ${passedMs} ms after ${before.timeMs}`;
    expect(timeMs <= latestMs, 'shard-time-near-the-median', ahead);
  }

  /** `earliestMs`: the lowest that any clock may have seemed to show. */
  begins(
    shard: ShardId,
    { term, timeMs }: Pick<Entry, 'term' | 'timeMs'>,
    earliestMs: number,
  ): void {
    const what = () => `shard ${shard} term ${term} begins at ${timeMs}, clocks at ${earliestMs}`;
    expect(timeMs >= earliestMs - LATE_MAX_MS, 'shard-time-begins-now', what);
  }
}

/** Of both halves of a joint configuration the later one: either may have counted. */
export function latestMedian(
  { voters, votersOutgoing }: Pick<Configuration, 'voters' | 'votersOutgoing'>,
  replicas: readonly { readonly replica: ReplicaId; readonly node: NodeId }[],
  clockOf: (node: NodeId) => number | undefined,
): number | undefined {
  const halves = [voters, votersOutgoing].filter((half) => half.length > 0);
  const medians = halves.map((half) => {
    const clocks = half.map((voter) => {
      const home = replicas.find(({ replica }) => replica === voter);
      return (home && clockOf(home.node)) ?? Number.POSITIVE_INFINITY;
    });
    return clocks.sort((one, two) => one - two)[half.length >> 1]!;
  });
  const latest = Math.max(...medians);
  return Number.isFinite(latest) ? latest : undefined;
}
