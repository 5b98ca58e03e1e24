/**
 * What a set of seeds must have met to prove anything (reliability section 7, point 7): each fault
 * kind, and each of these points, in a share of the seeds.
 */

/** Named "sometimes" points: what is rare, and where the bugs are. */
export const POINTS = [
  'election lost to another candidate',
  'vote split',
  'pre-vote refused for stickiness',
  'early campaign',
  'leader elected anew without a commit of its own',
  'CheckQuorum step-down',
  'leader deposed by a higher term',
  'append conflict answered',
  'conflict truncation',
  'crash with writes under way',
  'state set back by a crash',
  'log trimmed',
  'proposal answered unknown',
  'unknown turned out applied',
  'unknown turned out lost',
  'request repeated and recognised',
  'sequence gap refused',
  'dedup key recognised',
  'mixed dedup keys refused',
  'transaction committed',
  'transaction rolled back',
  'transaction over shards committed',
  'transaction over shards rolled back',
  'preparation left half way',
  'preparation taken up again',
  'preparation given up',
  'Prepared came too late',
  'part stored after the outcome',
  'outcome told to a participant',
  'outcome told again',
  'outcome asked for',
  'held offsets refused',
  'moved offset refused',
  'offsets moved by a transaction',
  'check lost on its way',
  'check counted',
  'check told twice or late',
  'half message parked',
  'parked message resumed',
  'parked message decided',
  'delivery acknowledged',
  'delivery given back',
  'message given again',
  'stale token refused',
  'key held up in its order',
  'message passed over by a filter',
  'last attempt given back',
  'last lease ran out',
  'no room for a dead letter',
  'dead letter sent again',
  'subscription moved',
  'delayed message recalled',
  'hidden body copied',
  'shown batch copied',
  'rows compacted',
  'hidden messages passed over',
  'stale compaction refused',
  'message for a compacted queue refused',
  'duplicate End',
  'contradicting End refused',
  'read confirmed',
  'read lost',
  'fallen offset refused',
  'offsets reset',
  'member committed',
  'stale commit refused',
  'members share a topic',
  'messages trimmed',
  'closed queue refused',
  'fenced write refused',
  'quiet shard woken',
  'leadership handed over',
  'snapshot sent',
  'snapshot took the place of a log',
  'snapshot over a newer log',
  'learner added',
  'replica invited',
  'replica dropped',
  'joint configuration entered',
  'joint configuration left',
  'crash in a joint configuration',
  'replicas placed anew',
  'placement brought about',
  'damaged entry asked from a peer',
  'damaged entry repaired',
  'suspect replica replaced',
  'leader without a checkpoint',
] as const;

/** Counted and shown, but not demanded: too much has to come together. */
export const NOTED_POINTS = ['checkpoint asked for a damaged entry'] as const;
export type Point = (typeof POINTS)[number] | (typeof NOTED_POINTS)[number];

/** Fewer seeds are no sample. */
export const COVERAGE_SEEDS_MIN = 200;
export const COVERAGE_SHARE_MIN = 0.01;

/** What one seed met. */
export class Coverage {
  readonly #counts: Partial<Record<Point, number>> = {};

  reach(point: Point): void {
    this.#counts[point] = (this.#counts[point] ?? 0) + 1;
  }

  get counts(): Readonly<Partial<Record<Point, number>>> {
    return this.#counts;
  }
}

/** Over many seeds: in how many each kind of fault and each point was met. */
export class CoverageReport {
  readonly #seeds = new Map<string, number>();
  readonly #expected: readonly string[];
  #total = 0;

  constructor(faultKinds: readonly string[]) {
    this.#expected = [...faultKinds.map((kind) => `fault ${kind}`), ...POINTS];
  }

  add(faults: Readonly<Record<string, number>>, points: Readonly<Record<string, number>>): void {
    this.#total++;
    const met = [...Object.keys(faults).map((kind) => `fault ${kind}`), ...Object.keys(points)];
    for (const name of met) this.#seeds.set(name, (this.#seeds.get(name) ?? 0) + 1);
  }

  /** Share of seeds by name, rarest first. */
  shares(): readonly (readonly [string, number])[] {
    const names = new Set([...this.#expected, ...this.#seeds.keys()]);
    return [...names]
      .map((name) => [name, this.#share(name)] as const)
      .sort(([a, left], [b, right]) => left - right || (a < b ? -1 : 1));
  }

  /** What too few seeds met; empty for a sample too small to say. */
  missing(): readonly string[] {
    if (this.#total < COVERAGE_SEEDS_MIN) return [];
    return this.#expected.filter((name) => this.#share(name) < COVERAGE_SHARE_MIN);
  }

  #share(name: string): number {
    return this.#total === 0 ? 0 : (this.#seeds.get(name) ?? 0) / this.#total;
  }
}
