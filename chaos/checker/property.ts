/** One promise, and how to find where a history breaks it. */
import type { Facts } from './facts.ts';

/** One broken promise: what is wrong, and the few lines of the history that show it. */
export interface Finding {
  readonly text: string;
  readonly lines: readonly number[];
}

export interface Property {
  /** As reliability texts number them. */
  readonly id: string;
  readonly name: string;
  /** What holds, in one sentence. */
  readonly says: string;
  find(facts: Facts): Iterable<Finding>;
}
