/** Many results as one verdict, and a failure as the one line that brings it back. */
import { CoverageReport } from './coverage.ts';
import { FAULT_KINDS } from './narrow.ts';
import type { SimOptions } from './options.ts';
import type { SimResult, SimStats } from './run.ts';

export interface FailedSeed {
  readonly seed: number;
  readonly failure: string;
  readonly replay: string;
}

export interface SimVerdict {
  readonly verdict: 'pass' | 'fail' | 'invalid';
  /** Why a run is invalid. */
  readonly reason?: string;
  readonly acked: number;
  /** Acknowledged and missing. */
  readonly lost: number;
  /** Batches that stand in a queue more than once. */
  readonly duplicated: number;
  readonly seeds: number;
  /** At most `FAILURES_MAX` of them. */
  readonly failures: readonly FailedSeed[];
  readonly failed_seeds: number;
  /** Sums over all seeds. */
  readonly stats: Readonly<Record<string, number>>;
  /** Share of seeds that met each fault kind and each named point, rarest first. */
  readonly coverage: Readonly<Record<string, number>>;
  /** Of a single seed: equal on every run of it. */
  readonly trace_hash?: string;
}

export interface ReportOptions {
  readonly options: Partial<SimOptions>;
  readonly mutant?: string;
  /** Version and commit: a seed means one history only together with them. */
  readonly build: string;
}

const FAILURES_MAX = 100;

export function replayLine(seed: number, { options, mutant, build }: ReportOptions): string {
  const { nodes, shards, faultMs, without = [] } = options;
  const words = [
    `holdfast sim --seed ${seed}`,
    nodes === undefined ? '' : `--nodes ${nodes}`,
    shards === undefined ? '' : `--shards ${shards}`,
    faultMs === undefined ? '' : `--fault-ms ${faultMs}`,
    without.length === 0 ? '' : `--without ${without.join(',')}`,
    mutant === undefined ? '' : `--mutant '${mutant}'`,
    `# ${build}`,
  ];
  return words.filter((word) => word !== '').join(' ');
}

export class Tally {
  readonly #report: ReportOptions;
  readonly #coverage = new CoverageReport(FAULT_KINDS);
  readonly #sums: Record<string, number> = {};
  readonly #failures: FailedSeed[] = [];
  #seeds = 0;
  #failed = 0;
  #hash: string | undefined = undefined;

  constructor(report: ReportOptions) {
    this.#report = report;
  }

  get seeds(): number {
    return this.#seeds;
  }

  get failed(): number {
    return this.#failed;
  }

  add({ seed, failure, stats, points, traceHash }: SimResult): void {
    this.#seeds++;
    this.#hash = this.#seeds === 1 ? traceHash : undefined;
    this.#coverage.add(stats.faults, points as Record<string, number>);
    for (const [name, value] of Object.entries(stats) as [keyof SimStats, unknown][]) {
      if (typeof value === 'number') this.#sums[name] = (this.#sums[name] ?? 0) + value;
    }
    if (failure === undefined) return;
    this.#failed++;
    if (this.#failures.length >= FAILURES_MAX) return;
    this.#failures.push({ seed, failure, replay: replayLine(seed, this.#report) });
  }

  verdict(): SimVerdict {
    const { acked = 0, lost = 0, duplicated = 0, ...stats } = this.#sums;
    const reason = this.#failed > 0 ? undefined : this.#invalid(acked);
    const verdict = this.#failed > 0 ? 'fail' : reason === undefined ? 'pass' : 'invalid';
    return {
      verdict,
      ...(reason === undefined ? {} : { reason }),
      acked,
      lost,
      duplicated,
      seeds: this.#seeds,
      failures: [...this.#failures].sort((a, b) => a.seed - b.seed),
      failed_seeds: this.#failed,
      stats,
      coverage: Object.fromEntries(
        this.#coverage.shares().map(([name, share]) => [name, Math.round(share * 1e4) / 1e4]),
      ),
      ...(this.#hash === undefined ? {} : { trace_hash: this.#hash }),
    };
  }

  /** Why the run proves nothing: nothing was acknowledged, or something was hardly ever met. */
  #invalid(acked: number): string | undefined {
    if (acked === 0) return 'nothing was acknowledged in any history';
    const { options, mutant } = this.#report;
    const isWhole = (options.without ?? []).length === 0 && options.nodes === undefined;
    const missing = this.#coverage.missing();
    if (!isWhole || mutant !== undefined || missing.length === 0) return undefined;
    return `met in less than 1 % of the seeds: ${missing.join(', ')}`;
  }
}
