/** What the runs of a matrix said, a line of JSON each: it takes hours and may be resumed. */
import { appendFileSync, existsSync, readFileSync } from 'node:fs';
import type { GapSummary } from '../gaps.ts';
import type { Verdict } from '../verdict.ts';
import type { Cell } from './cells.ts';

/** What `chaos run --json` prints, as far as it is shown. */
export interface Outcome {
  readonly verdict: Verdict;
  readonly seed: number;
  readonly seconds: number;
  readonly acked: number;
  readonly faults: Readonly<Record<string, { readonly installed: number }>>;
  readonly longest_gap_ms: GapSummary | null;
  readonly reasons: readonly string[];
}

export interface Result extends Outcome {
  readonly cell: string;
}

export function keyOf({ name, nodes }: Pick<Cell, 'name' | 'nodes'>): string {
  return `${name} ${nodes}`;
}

export function readResults(file: string): Result[] {
  if (!existsSync(file)) return [];
  const lines = readFileSync(file, 'utf8').split('\n').filter(Boolean);
  return lines.map((line) => JSON.parse(line) as Result);
}

/** Nothing that was there is ever taken back: a run that failed stays in the count. */
export function appendResult(file: string, result: Result): void {
  appendFileSync(file, `${JSON.stringify(result)}\n`);
}
