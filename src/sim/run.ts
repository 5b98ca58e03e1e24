/**
 * One seeded history of a whole cluster: a phase with faults, in which nothing may become wrong,
 * and a phase without, in which everything must become well. The seed alone reproduces it.
 */
import type { ShardId } from '../../raft/types.ts';
import { expectFinalStates } from './check/final-state.ts';
import { checkHistory, type Findings } from './check/history-checker.ts';
import { SimCluster } from './cluster.ts';
import type { Point } from './coverage.ts';
import { expect, SimFailure } from './failure.ts';
import { narrowed, operationsIn } from './narrow.ts';
import { SimNemesis } from './nemesis.ts';
import { DEFAULT_SIM_OPTIONS, drawSwarm, type SimOptions, type Swarm } from './options.ts';
import { Random } from './random.ts';
import { Scheduler } from './scheduler.ts';
import { SimClients } from './workload/clients.ts';

export interface SimStats {
  readonly virtualMs: number;
  readonly events: number;
  readonly packets: number;
  readonly dropped: number;
  readonly syncs: number;
  readonly leaders: number;
  readonly committed: number;
  readonly proposals: number;
  /** Batches of messages that clients were told are safe. */
  readonly acked: number;
  /** Of those, missing or elsewhere in the end. */
  readonly lost: number;
  /** Batches that stand in a queue more than once. */
  readonly duplicated: number;
  readonly unknown: number;
  readonly reads: number;
  readonly faults: Readonly<Record<string, number>>;
}

export interface SimResult {
  readonly seed: number;
  readonly ok: boolean;
  /** The invariant that broke, and how. */
  readonly failure?: string;
  readonly stats: SimStats;
  /** How often each named point of coverage.ts was met. */
  readonly points: Readonly<Partial<Record<Point, number>>>;
  readonly traceHash: string;
  /** What was drawn or asked for. */
  readonly shape: { readonly nodes: number; readonly shards: number; readonly faultMs: number };
  /** The last lines, when asked for. */
  readonly trace?: readonly string[];
}

/** After the faults end, a leader must be there within this. */
const HEAL_STEP_MS = 250;
/** However small the steps of progress are. */
const HEAL_TIMES_MAX = 10;

class Run {
  readonly #options: SimOptions;
  readonly #scheduler = new Scheduler();
  readonly #swarm: Swarm;
  readonly #cluster: SimCluster;
  readonly #clients: SimClients;
  readonly #nemesis: SimNemesis;
  #findings: Findings | undefined = undefined;

  constructor(seed: number, options: SimOptions) {
    const random = new Random(seed);
    this.#options = options;
    const without = options.without ?? [];
    this.#swarm = narrowed(drawSwarm(random, options), without);
    this.#cluster = new SimCluster(this.#scheduler, random.fork(), this.#swarm);
    this.#cluster.trace.keep(options.traceLines ?? 0);
    this.#clients = new SimClients(this.#cluster, random.fork(), operationsIn(without));
    this.#nemesis = new SimNemesis(this.#cluster, random.fork());
  }

  #runFor(ms: number): Promise<void> {
    return this.#scheduler.runUntil(this.#scheduler.nowMs + ms, () => this.#cluster.check());
  }

  async all(): Promise<void> {
    for (const node of this.#cluster.nodes) this.#cluster.start(node);
    this.#clients.start();
    this.#nemesis.start();
    await this.#runFor(this.#options.faultMs);
    this.#nemesis.heal();
    this.#clients.stop();
    await this.#getWell();
    await this.#readCompacted();
    this.#cluster.judge.end();
    expectFinalStates(this.#cluster);
    const [problem] = this.findings().problems;
    expect(problem === undefined, 'history', () => problem ?? '');
  }

  /** What the clients' history says, once it has ended. */
  findings(): Findings {
    this.#findings ??= checkHistory(this.#clients.session.history, this.#cluster.judge.ledger);
    return this.#findings;
  }

  /**
   * Liveness: one more command per shard is applied, on every node. Whoever is slow may take long,
   * but not stop: what is still missing shrinks again and again, and never for more than the bound
   * it does not.
   */
  async #getWell(): Promise<void> {
    const { dataShards } = this.#cluster;
    const { healMs } = this.#options;
    const pending = new Set(dataShards);
    let least = Number.POSITIVE_INFINITY;
    let untilMs = this.#scheduler.nowMs + healMs;
    const latestMs = this.#scheduler.nowMs + HEAL_TIMES_MAX * healMs;
    for (;;) {
      const missing = this.#allMissing();
      if (pending.size === 0 && this.#clients.isSettled && missing === 0) return;
      if (missing < least) untilMs = Math.min(latestMs, this.#scheduler.nowMs + healMs);
      least = Math.min(least, missing);
      const late = () =>
        `shards ${[...pending]}; clients settled: ${this.#clients.isSettled}; ${missing} missing`;
      expect(this.#scheduler.nowMs < untilMs, 'liveness', late);
      for (const shard of pending) this.#clients.probe(shard, () => pending.delete(shard));
      await this.#runFor(HEAL_STEP_MS);
    }
  }

  /** What compaction leaves is applied, and read, everywhere. */
  async #readCompacted(): Promise<void> {
    this.#clients.compactAll();
    await this.#settled();
    this.#clients.readAll();
    await this.#settled();
  }

  async #settled(): Promise<void> {
    const untilMs = this.#scheduler.nowMs + HEAL_TIMES_MAX * this.#options.healMs;
    while (!this.#clients.isSettled || this.#allMissing() > 0) {
      expect(this.#scheduler.nowMs < untilMs, 'liveness', () => 'a compacted queue is not read');
      await this.#runFor(HEAL_STEP_MS);
    }
  }

  get #unplaced(): number {
    return this.#cluster.metadata?.isSettled === false ? 1 : 0;
  }

  #allMissing(): number {
    const { shards } = this.#cluster;
    return shards.reduce((sum, shard) => sum + this.#missing(shard), this.#unplaced);
  }

  /** Entries that members whose directories are whole have yet to apply. */
  #missing(shard: ShardId): number {
    const cluster = this.#cluster;
    const last = cluster.committed.of(shard).length;
    const { replicas } = cluster.placements.of(shard);
    const homes = replicas.filter(
      (address) => cluster.isWhole(address) && !cluster.isSuspect(shard, address),
    );
    return homes.reduce((sum, home) => {
      const { machine, shards } = cluster.node(home.node);
      const isHere = shards?.replicaOf(shard) === home.replica;
      return sum + (isHere ? last - machine.appliedIndex(shard) : last + 1);
    }, 0);
  }

  stats(): SimStats {
    const { network, nodes, judge, committed, shards } = this.#cluster;
    const { acked, lost, duplicated, unknownApplied, unknownLost } = this.findings();
    if (unknownApplied > 0) judge.coverage.reach('unknown turned out applied');
    if (unknownLost > 0) judge.coverage.reach('unknown turned out lost');
    const sum = (numbers: readonly number[]): number => numbers.reduce((a, b) => a + b, 0);
    return {
      virtualMs: this.#scheduler.nowMs,
      events: this.#scheduler.events,
      packets: network.packets,
      dropped: network.dropped,
      syncs: sum(nodes.map(({ disk }) => disk.syncs)),
      leaders: judge.elections.count,
      committed: sum(shards.map((shard) => committed.of(shard).length)),
      proposals: this.#clients.proposals,
      acked,
      lost,
      duplicated,
      unknown: unknownApplied + unknownLost,
      reads: this.#clients.reads,
      faults: this.#cluster.faults.counts,
    };
  }

  get shape(): SimResult['shape'] {
    const { nodes, shards } = this.#swarm;
    return { nodes, shards, faultMs: this.#options.faultMs };
  }

  get trace(): readonly string[] {
    return this.#cluster.trace.lines;
  }

  get points(): SimResult['points'] {
    return this.#cluster.judge.coverage.counts;
  }

  /** Also over the sums, in which what the trace does not say leaves its mark. */
  traceHash(stats: SimStats): string {
    this.#cluster.trace.add(JSON.stringify(stats));
    return this.#cluster.trace.value;
  }
}

/** Never throws for a broken invariant or assertion: it is the result. */
export async function runSeed(seed: number, options: Partial<SimOptions> = {}): Promise<SimResult> {
  // Small buffers of a shared pool hold on to more memory than their own, and who shares depends on
  // everything that ran before; the window of the log counts held memory.
  const { poolSize } = Buffer;
  Buffer.poolSize = 0;
  try {
    return await simulated(seed, { ...DEFAULT_SIM_OPTIONS, ...options });
  } finally {
    Buffer.poolSize = poolSize;
  }
}

async function simulated(seed: number, options: SimOptions): Promise<SimResult> {
  const run = new Run(seed, options);
  let failure: string | undefined;
  try {
    await run.all();
  } catch (error) {
    if (!(error instanceof Error)) throw error;
    failure = error instanceof SimFailure ? error.message : (error.stack ?? error.message);
  }
  const stats = run.stats();
  const { points, shape, trace } = run;
  const traceHash = run.traceHash(stats);
  const result = { seed, ok: failure === undefined, stats, points, shape, traceHash };
  return {
    ...result,
    ...(failure === undefined ? {} : { failure }),
    ...(trace.length === 0 ? {} : { trace }),
  };
}
