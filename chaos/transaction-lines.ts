/** The lines that are about transactions. */
import type { Attempt, InQueue } from './operation-lines.ts';

/** What a transaction writes to one queue. */
export interface PreparedPart extends InQueue {
  readonly values: readonly string[];
  readonly key?: string;
}

/** What a group consumed of a queue, committed with the messages that were made of it. */
export interface MovedOffset extends InQueue {
  readonly group: string;
  /** Where the group stood; absent: it had never committed. */
  readonly from?: number;
  readonly offset: number;
}

export interface Prepare extends Attempt, PreparedPart {
  readonly type: 'prepare';
  readonly transaction: string;
  /** Beside the first one, whose shard coordinates. */
  readonly others?: readonly PreparedPart[];
  readonly moves?: readonly MovedOffset[];
}

export type Decision = 'commit' | 'rollback';

/** Where the messages of one queue became visible. */
export interface CommittedAt extends InQueue {
  readonly baseOffset: number;
}

/** Its queue is that of the first part. */
export interface End extends Attempt, InQueue {
  readonly type: 'end';
  readonly transaction: string;
  readonly decision: Decision;
  /** What the node said is the outcome, in an answer or in a refusal. */
  readonly state?: 'UNDECIDED' | 'COMMITTED' | 'ROLLED_BACK';
  /** Where the messages became visible (commit only). */
  readonly baseOffset?: number;
  readonly others?: readonly CommittedAt[];
}

/** A producer group was asked what became of a transaction. */
export interface Check extends Attempt {
  readonly type: 'check';
  readonly transaction: string;
  readonly count: number;
  /** Of all parts, in their order. */
  readonly values: readonly string[];
}

export interface OpenTransaction {
  readonly transaction: string;
  readonly state: 'PREPARING' | 'UNDECIDED' | 'PARKED';
}

/** After the run: everything that a node lists as not ended, page by page. */
export interface Open extends Attempt {
  readonly type: 'open';
  readonly transactions: readonly OpenTransaction[];
  /** Producers answered every check before it, for longer than anything may wait for one. */
  readonly afterChecks?: true;
}
