/** What the rest of the node may ask of a data shard's state, besides applying entries to it. */
import type { Entry, LogIndex, ShardTimeMs } from '../../raft/types.ts';
import type { ApplyResult, QueueId, TransactionId, TransactionRef } from './commands.ts';
import type { StateRow, StateWriter } from './state-port.ts';

export interface QueueView {
  readonly queueId: QueueId;
  readonly topicId: string;
  readonly queue: number;
  readonly open: boolean;
  readonly startOffset: number;
  readonly endOffset: number;
  readonly cumulativeBytes: number;
}

export interface GroupOffsetView {
  readonly queue: number;
  readonly offset: number;
}

export interface TransactionView {
  readonly id: TransactionId;
  readonly producerGroup: string;
  readonly callerId: string;
  readonly topic: string;
  readonly queueId: QueueId;
  readonly count: number;
  readonly state: 'undecided' | 'committed' | 'rolledBack';
  readonly checkCount: number;
  readonly nextCheckAtMs: ShardTimeMs;
}

/** A data shard's replicated state: deterministic, synchronous, in memory but the queue index. */
export interface DataShard {
  load(rows: Iterable<StateRow>): void;
  apply(entry: Entry, out: StateWriter): ApplyResult;
  queue(queueId: QueueId): QueueView | undefined;
  queues(): Iterable<QueueView>;
  /** undefined = unknown group. */
  groupEpoch(group: string): number | undefined;
  groupOffsets(group: string, topicId: string): readonly GroupOffsetView[];
  transaction(producerGroup: string, ref: TransactionRef): TransactionView | undefined;
  /** Undecided transactions of a producer group whose check is due at `nowMs`, oldest first. */
  dueChecks(producerGroup: string, nowMs: ShardTimeMs, limit: number): readonly TransactionId[];
  /** When the next check of the producer group falls due; undefined = nothing undecided. */
  nextCheckAtMs(producerGroup: string): ShardTimeMs | undefined;
  /** Lowest log index still needed by an undecided or committed half message of live queues. */
  lowestHalfIndex(): LogIndex | undefined;
  /**
   * Lowest log index that anything live may need; a `trim` must stay below it. undefined = nothing
   * is kept. May lag behind a start offset that rose until the next trim says where that one lies.
   */
  lowestNeededIndex(): LogIndex | undefined;
  /**
   * Counts held against the limits of limits.ts; `transactions` = undecided ones (admission happens
   * before an entry is proposed).
   */
  counts(): { producers: number; transactions: number; groups: number; groupOffsets: number };
}
