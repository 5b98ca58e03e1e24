/** What the rest of the node may ask of a data shard's state, besides applying entries to it. */
import type { Entry, LogIndex, ShardId, ShardTimeMs } from '../../raft/types.ts';
import type {
  ApplyResult,
  BatchId,
  FirstAnswer,
  HeldBody,
  QueueCompaction,
  QueueId,
  StoredAt,
  TransactionId,
  TransactionRef,
  TransactionState,
} from './commands.ts';
import type { DeliveriesView, DeliveryCounts } from './deliveries-view.ts';
import type { GroupMemberState, MembershipState, QueueShare } from './group-rows.ts';
import type { LateBucket, LateBuckets } from './late-references.ts';
import type { OffsetRecord } from './offset-history.ts';
import type { StateRow, StateWriter } from './state-port.ts';
import type { GlobalTransactionId, StoredOffsets, StoredPart } from './transaction-commands.ts';

export interface QueueView {
  readonly queueId: QueueId;
  readonly topicId: string;
  readonly queue: number;
  readonly open: boolean;
  readonly startOffset: number;
  readonly endOffset: number;
  readonly cumulativeBytes: number;
  /** Writes whose queue was picked at an earlier queue epoch are refused; 0 = never fenced. */
  readonly minQueueEpoch: number;
  readonly compaction: QueueCompaction | undefined;
}

/** The newest message of a key. */
export interface LatestOfKey {
  readonly offset: number;
  /** When what it deletes is gone, itself too; undefined = it has a body. */
  readonly goneAtMs: ShardTimeMs | undefined;
}

/** What compacted queues know about keys (compacted-keys.ts). */
export interface CompactedKeysView {
  /** undefined = the queue shows no message of that key any more. */
  latest(queueId: QueueId, key: string): LatestOfKey | undefined;
  /** Keys whose newest message lies in a batch that ends in that bucket. */
  liveIn(queueId: QueueId, bucket: number): number;
  /** Offset of the oldest message that is the newest of its key; undefined = there is none. */
  firstLive(queueId: QueueId): number | undefined;
  /** Some are needed no more: the next ones that come take their room. */
  mayForget(nowMs: ShardTimeMs): boolean;
  /** The same of one queue: a `trim` that names it forgets them. */
  mayForgetOf(queueId: QueueId, nowMs: ShardTimeMs): boolean;
}

export interface GroupOffsetView {
  readonly queue: number;
  readonly offset: number;
}

/** Where a group stood in a queue at some time. */
export interface PastOffsetView {
  readonly queue: number;
  /** From when on that is known; 0 = not known at all (committed by an earlier version). */
  readonly knownSinceMs: ShardTimeMs;
  /** undefined = nowhere yet, or before what is known. */
  readonly stood: OffsetRecord | undefined;
}

export interface TransactionView {
  readonly id: TransactionId;
  readonly producerGroup: string;
  /** Who prepared it; '' = nobody was asked. */
  readonly principal: string;
  readonly callerId: string;
  readonly parts: readonly StoredPart[];
  readonly offsets: StoredOffsets | undefined;
  readonly state: TransactionState;
  /** Participants that have not applied the outcome so far. */
  readonly unresolved: readonly ShardId[];
  /** Checks that reached a producer and brought no decision. */
  readonly checkCount: number;
  /** After so many it is parked. */
  readonly maxChecks: number;
  readonly preparedAtMs: ShardTimeMs;
  /** Its next check; the end of its preparation. */
  readonly dueAtMs: ShardTimeMs;
}

/** A group's members and who reads what, as it is kept; not to be changed. */
export type MembershipView = Pick<MembershipState, 'group' | 'generation' | 'table' | 'mode'> & {
  readonly members: ReadonlyMap<string, Readonly<GroupMemberState>>;
  readonly topics: ReadonlyMap<string, GroupTopicView>;
};
export interface GroupTopicView {
  readonly topicId: string;
  readonly name: string;
  readonly queues: readonly Readonly<QueueShare>[];
}

/** Of a transaction over several queues, as the shard of the queue knows it. */
export interface PartView {
  readonly id: BatchId;
  readonly transaction: GlobalTransactionId;
  readonly queueId: QueueId;
  readonly count: number;
  readonly preparedAtMs: ShardTimeMs;
  /** undefined = no outcome has come. */
  readonly shown: { readonly baseOffset: number; readonly atMs: ShardTimeMs } | undefined;
}

/** A batch that waits for its time. */
export interface DelayedView {
  readonly id: BatchId;
  readonly queueId: QueueId;
  readonly count: number;
  readonly dueAtMs: ShardTimeMs;
}

/** Held against the limits of limits.ts; admission happens before an entry is proposed. */
export interface StateCounts extends DeliveryCounts {
  readonly producers: number;
  /** Without an outcome, or with participants that have not applied it: parked ones too. */
  readonly transactions: number;
  /** Of those, how many wait for an operator. */
  readonly parked: number;
  /** Parts of transactions that other shards, or this one, coordinate. */
  readonly parts: number;
  /** Offsets that such transactions hold. */
  readonly heldOffsets: number;
  readonly delayed: number;
  /** Also those whose window has ended, until they are forgotten. */
  readonly dedupKeys: number;
  /** Of compacted queues, deleted ones too until they are forgotten. */
  readonly compactedKeys: number;
  readonly groups: number;
  readonly groupOffsets: number;
  /** Of where groups stood before. */
  readonly offsetRecords: number;
  readonly groupMembers: number;
  readonly groupQueues: number;
}

/** A data shard's replicated state: deterministic, synchronous, in memory but the queue index. */
export interface DataShard {
  load(rows: Iterable<StateRow>): void;
  apply(entry: Entry, out: StateWriter): ApplyResult;
  /** What this shard's replicas may write (feature-level.ts). */
  featureLevel(): number;
  queue(queueId: QueueId): QueueView | undefined;
  queues(): Iterable<QueueView>;
  /** undefined = unknown group. */
  groupEpoch(group: string): number | undefined;
  groupOffsets(group: string, topicId: string): readonly GroupOffsetView[];
  /** Where it stood at a time (offset-history.ts). */
  groupOffsetsAt(group: string, topicId: string, atMs: ShardTimeMs): readonly PastOffsetView[];
  /** Topics that the group committed on, ascending. */
  groupTopicIds(group: string): readonly string[];
  /** Groups by name, ascending, after `after`; not the offsets of single members. */
  groupNames(after: string, limit: number): readonly string[];
  /** To read only. undefined = the group never had members. */
  membership(group: string): MembershipView | undefined;
  /** Of groups that have members now. */
  memberships(): Iterable<MembershipView>;
  /** Differs whenever anything about members differs. */
  membershipChanges(): number;
  transaction(producerGroup: string, ref: TransactionRef): TransactionView | undefined;
  /** Without an outcome, by the index of their prepare entry, from above `afterIndex` on. */
  openTransactions(afterIndex: LogIndex): Iterable<TransactionView>;
  /** How many of them the principal prepared. */
  openTransactionsOf(principal: string): number;
  /**
   * Undecided transactions of a producer group whose check is due at `nowMs`, oldest first: of
   * others than `principal` none, where it is given.
   */
  dueChecks(
    producerGroup: string,
    nowMs: ShardTimeMs,
    limit: number,
    principal?: string,
  ): readonly TransactionId[];
  /** When the next of these checks falls due; undefined = nothing undecided. */
  nextCheckAtMs(producerGroup: string, principal?: string): ShardTimeMs | undefined;
  /** Undecided ones that were asked about often enough, and are due again. */
  dueToPark(nowMs: ShardTimeMs, limit: number): readonly TransactionId[];
  nextToParkAtMs(): ShardTimeMs | undefined;
  /** When the first window of dedup keys ends; undefined = there are none. */
  dedupKeysEndMs(): ShardTimeMs | undefined;
  /** None of them was stored in the queue within its window. */
  areDedupKeysNew(queueId: QueueId, keys: readonly string[], nowMs: ShardTimeMs): boolean;
  /** The message that first brought this key, while that is remembered. */
  dedupAnswer(queueId: QueueId, key: string, nowMs: ShardTimeMs): FirstAnswer | undefined;
  /** Preparations that were not ended in time. */
  dueToAbort(nowMs: ShardTimeMs): TransactionId | undefined;
  nextToAbortAtMs(): ShardTimeMs | undefined;
  /** Coordinated here, with its outcome or without; undefined = forgotten, or never here. */
  coordinated(id: TransactionId): TransactionView | undefined;
  /** With an outcome that some participant has not applied so far, first ended first. */
  unresolved(): Iterable<TransactionView>;
  /** Whose parts or offsets are held here since `sinceMs` or longer; may repeat itself. */
  heldSince(sinceMs: ShardTimeMs): Iterable<GlobalTransactionId>;
  /** By the index of its first entry; undefined = dropped, forgotten, or never here. */
  part(index: LogIndex): PartView | undefined;
  /** When the oldest of them came; undefined = nothing is held. */
  oldestHeldAtMs(): ShardTimeMs | undefined;
  /** undefined = delivered, recalled, or never delayed. */
  delayed(index: LogIndex): DelayedView | undefined;
  /** Delayed batches whose time has come at `nowMs`, in the order in which they are to be shown. */
  dueDelayed(nowMs: ShardTimeMs, limit: number): readonly BatchId[];
  /** When the next delayed batch falls due; undefined = none waits. */
  nextDelayedAtMs(): ShardTimeMs | undefined;
  /** Where the body lies now whose first entry is `id`: elsewhere only while no queue shows it. */
  placeOf(id: BatchId): StoredAt;
  /** Bodies below a log index that a `copy` can move away from there, the lowest first. */
  heldBodies(below: LogIndex, limit: number): readonly HeldBody[];
  /** Which entries batches need that do not lie in the order of their queues. */
  lateBuckets(): LateBuckets;
  /** undefined = nothing but plain batches lie in it. */
  lateBucket(queueId: QueueId, bucket: number): LateBucket | undefined;
  /** The first offset from there on whose bucket is not counted (late-references.ts). */
  uncountedFrom(queueId: QueueId, offset: number): number;
  readonly compactedKeys: CompactedKeysView;
  /** Messages that are consumed one by one. */
  readonly deliveries: DeliveriesView;
  /**
   * Lowest log index that something needs which does not stand in the order of its queue: hidden
   * batches, those that were shown late, messages that are pending or dead letters.
   */
  lowestLateIndex(): LogIndex | undefined;
  /**
   * Lowest log index that anything live may need; a `trim` must stay below it. undefined = nothing
   * is kept. May lag behind a start offset that rose until the next trim says where that one lies.
   */
  lowestNeededIndex(): LogIndex | undefined;
  /** Batches that may still get offsets in the queue: delayed ones, and those of transactions. */
  waitingIn(queueId: QueueId): number;
  counts(): StateCounts;
}
