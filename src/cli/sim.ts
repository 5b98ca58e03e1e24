/** `holdfast sim`: whole clusters from seeds; a broken invariant is replayed by its seed. */
import type { Command } from 'commander';
import { ExitCode, Failure } from '../failure.ts';
import { runSeed, type SimResult, type SimStats } from '../sim/run.ts';
import { wholeNumber } from './options.ts';

const SEED_MAX = 2 ** 32 - 1;
const DEFAULT_COUNT = 100;
const PROGRESS_EVERY_MS = 2000;

interface SimCommandOptions {
  readonly seed?: number;
  readonly count?: number;
  readonly json: boolean;
}

export interface SimVerdict {
  readonly verdict: 'pass' | 'fail' | 'invalid';
  readonly acked: number;
  /** Acknowledged and missing. */
  readonly lost: number;
  /** Batches that stand in a queue more than once. */
  readonly duplicated: number;
  readonly seeds: number;
  readonly failures: readonly { seed: number; failure: string; replay: string }[];
  /** Sums over all seeds. */
  readonly stats: Partial<SimStats>;
  /** Of a single seed: equal on every run of it. */
  readonly trace_hash?: string;
}

export function registerSim(program: Command): void {
  program
    .command('sim')
    .description('simulate clusters under faults and check the invariants of Raft')
    .option('--seed <n>', 'one history; with --count the first of many', wholeNumber(0, SEED_MAX))
    .option('--count <m>', `how many seeds (default: ${DEFAULT_COUNT})`, wholeNumber(1, SEED_MAX))
    .option('--json', 'the verdict as one JSON object', false)
    .action(sim);
}

async function sim({ seed, count, json }: SimCommandOptions): Promise<void> {
  const first = seed ?? 1;
  const many = count ?? (seed === undefined ? DEFAULT_COUNT : 1);
  const results: SimResult[] = [];
  let saidAtMs = performance.now();
  for (let n = 0; n < many; n++) {
    results.push(await runSeed(first + n));
    if (json || performance.now() - saidAtMs < PROGRESS_EVERY_MS) continue;
    saidAtMs = performance.now();
    console.error(`${n + 1} of ${many} seeds`);
  }
  const verdict = verdictOf(results);
  console.log(json ? JSON.stringify(verdict) : describeVerdict(verdict));
  if (verdict.verdict === 'fail') throw new Failure(describeFailures(verdict));
  if (verdict.verdict === 'invalid') {
    throw new Failure('nothing was acknowledged in any history', ExitCode.invalidRun);
  }
}

/** A set of histories in which nothing was ever acknowledged proves nothing. */
export function verdictOf(results: readonly SimResult[]): SimVerdict {
  const failures = results
    .filter(({ ok }) => !ok)
    .map(({ seed, failure }) => ({
      seed,
      failure: failure ?? 'unknown',
      replay: `holdfast sim --seed ${seed}`,
    }));
  const stats = sumOf(results.map((result) => result.stats));
  const acked = stats.acked ?? 0;
  const verdict = failures.length > 0 ? 'fail' : acked > 0 ? 'pass' : 'invalid';
  const [only] = results;
  const hash = results.length === 1 && only !== undefined ? { trace_hash: only.traceHash } : {};
  const { lost = 0, duplicated = 0 } = stats;
  return { verdict, acked, lost, duplicated, seeds: results.length, failures, stats, ...hash };
}

function sumOf(all: readonly SimStats[]): Partial<SimStats> {
  const sums: Record<string, number> = {};
  for (const stats of all) {
    for (const [name, value] of Object.entries(stats)) {
      if (typeof value === 'number') sums[name] = (sums[name] ?? 0) + value;
    }
  }
  return sums as Partial<SimStats>;
}

function describeVerdict({ verdict, seeds, stats }: SimVerdict): string {
  const sums = Object.entries(stats).map(([name, value]) => `${name} ${value}`);
  return `${verdict}: ${seeds} seeds, ${sums.join(', ')}`;
}

function describeFailures({ failures }: SimVerdict): string {
  const [first] = failures;
  const broken = `${failures.length} histories broke an invariant; seed ${first?.seed}:`;
  return `${broken} ${first?.failure.split('\n')[0]}; replay it: ${first?.replay}`;
}
