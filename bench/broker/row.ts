/** What a part of the benchmark says: figures in words, and whether its goal is met. */
import type { Holdfast } from '../../src/client/index.ts';

export interface Row {
  readonly workload: string;
  readonly durability: 'MAJORITY_FSYNC';
  readonly figures: Readonly<Record<string, number>>;
  /** What is asked of them, in words. */
  readonly goal: string;
  readonly met: boolean;
}

export interface Setting {
  readonly client: Holdfast;
  readonly servers: readonly string[];
  readonly seconds: number;
  readonly rounds: number;
  readonly gb: number;
  readonly ratePerS: number;
  /** Empty, for what a part starts beside the cluster. Gone afterwards. */
  readonly directory: string;
  /** A line about what is being done. */
  tell(text: string): void;
}

export type Part = (setting: Setting) => Promise<Row>;

export function rounded(value: number): number {
  return value >= 100 ? Math.round(value) : Math.round(value * 100) / 100;
}
