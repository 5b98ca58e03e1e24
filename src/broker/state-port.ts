/**
 * What the replicated state machines write through to the node's state store. They never read from
 * it: everything but the queue index stays in memory and is loaded once, at open.
 */
import type { LogIndex, ShardTimeMs, Term } from '../../raft/types.ts';
import type { QueueId } from './commands.ts';

/** Kinds of small-state rows: part of checkpoints. The store maps each to a key prefix. */
export type Table =
  | 'queue'
  | 'producer'
  | 'transaction'
  | 'caller-transaction'
  | 'late-reference'
  | 'group'
  | 'group-offset'
  | 'offset-history'
  | 'delayed'
  | 'group-member'
  | 'dedup-key'
  | 'transaction-part'
  | 'offset-hold'
  | 'subscription'
  | 'pending-delivery'
  | 'dead-letter'
  | 'feature-level'
  | 'log-floor'
  | 'compacted-key'
  | 'topic'
  | 'meta';

/** One visible batch of a queue: which entry holds it. */
export interface QueueIndexRow {
  readonly queueId: QueueId;
  readonly baseOffset: number;
  readonly count: number;
  readonly index: LogIndex;
  readonly term: Term;
  /** When it became visible (shard time): never falls within a queue. */
  readonly storedAtMs: ShardTimeMs;
  /** Payload bytes of the queue up to and including this batch: never falls. */
  readonly cumulativeBytes: number;
}

export interface StateWriter {
  /** `value` undefined deletes. Later puts to one key win. */
  put(table: Table, key: Uint8Array, value: Uint8Array | undefined): void;
  putIndex(row: QueueIndexRow): void;
  /**
   * The row takes the place of those that began and ended within it: its own, whose batch lies
   * elsewhere now, and `replaced`, the last offsets of those before.
   */
  moveIndex(row: QueueIndexRow, replaced: readonly number[]): void;
  /** Rows of the queue that end at or below `startOffset` may be dropped, at leisure. */
  dropIndexBelow(queueId: QueueId, startOffset: number): void;
}

export interface StateRow {
  readonly table: Table;
  readonly key: Uint8Array;
  readonly value: Uint8Array;
}
