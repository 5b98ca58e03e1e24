/**
 * The closed union of commands that a data shard's log holds, and what applying one answers.
 * A command is the `head` of an entry (see command-codec.ts); message bytes are its `payload`.
 */
import type { LogIndex, ShardId, ShardTimeMs, Term } from '../../raft/types.ts';
import type { DeliveryCommand, DeliveryRefusal, DeliveryResult } from './delivery-commands.ts';
import type { GroupCommand, GroupMemberRef, GroupMode } from './group-commands.ts';
import type {
  GlobalTransactionId,
  LeasedCheck,
  ShownPart,
  StoredPart,
  TransactionCommand,
} from './transaction-commands.ts';

/** Issued by the metadata shard, never reused, unique in the cluster. */
export type QueueId = number;

/** Durability levels as on the wire (types.proto); the numbers are stored: never renumber. */
export const Durability = { majorityFsync: 1, majority: 2, leader: 3, none: 4 } as const;
export type Durability = (typeof Durability)[keyof typeof Durability];

/** Names the request of an idempotent producer (internals rule 13). */
export interface ProducerSequence {
  readonly producerId: string;
  readonly producerEpoch: number;
  readonly sequence: number;
}

export interface QueueOffsetEntry {
  readonly queue: number;
  readonly offset: number;
}

/** Of each key the newest message stays for as long as the queue does; older ones may go. */
export interface QueueCompaction {
  /** A message that was shown within so long is read by everybody, newer ones of its key or not. */
  readonly minLagMs: number;
  /** A message without a body deletes its key: it is read for so long itself. */
  readonly tombstoneMs: number;
}

/** What a compacted queue needs to know of a message. */
export interface MessageKey {
  readonly key: string;
  /** It has no body: of its key nothing is to stay. */
  readonly isTombstone: boolean;
}

/** Messages that lay next to each other in one entry, and that compaction left. */
export interface KeptRun {
  readonly offset: number;
  readonly count: number;
  /** When they became visible. */
  readonly storedAtMs: ShardTimeMs;
  /** The entry that held them first, and the first one's position there: their names for ever. */
  readonly firstIndex: LogIndex;
  readonly firstPosition: number;
}

export type Command =
  /** Payload = the request's messages. */
  | {
      readonly type: 'produce';
      readonly queueId: QueueId;
      readonly count: number;
      readonly durability: Durability;
      readonly producer: ProducerSequence | undefined;
      /** In no queue before this shard time; absent = at once. Never 0. */
      readonly deliverAtMs?: ShardTimeMs;
      /** Business keys: one for all messages or one per message, remembered for `windowMs`. */
      readonly dedup?: { readonly windowMs: number; readonly keys: readonly string[] };
      /** Of the topic when the queue was picked; absent = before its queues were ever fenced. */
      readonly queueEpoch?: number;
      /** One per message, if the queue is compacted; never with `deliverAtMs`. */
      readonly keys?: readonly MessageKey[];
    }
  /** Delayed batches that are due: each gets its offsets now. */
  | { readonly type: 'deliver'; readonly batches: readonly BatchId[] }
  /** A delayed batch that is not wanted any more. */
  | { readonly type: 'recall'; readonly index: LogIndex }
  /**
   * Payload = the body of a batch that nobody reads yet, appended again so that the log before may
   * go. `id` is its name for ever, `from` where its owner must still point.
   */
  | {
      readonly type: 'copy';
      readonly owner: BodyOwner;
      readonly id: BatchId;
      readonly from: StoredAt;
    }
  /**
   * Payload = the messages of a batch that its queue shows, appended again so that the log before
   * may go: its row points here from now on.
   */
  | {
      readonly type: 'copyRow';
      readonly row: CopiedRow;
      /** The entry that first held it. */
      readonly id: BatchId;
      /**
       * Nothing is left of the batch's bucket below this index, if the queue, or the bucket, ended
       * at `until` when that was found out (late-references.ts).
       */
      readonly lowest: LogIndex;
      readonly until: number;
    }
  /**
   * Payload = what is left of some rows of a compacted queue that stand next to each other in one
   * bucket: one row takes their place (compacted-rows.ts).
   */
  | {
      readonly type: 'compactRows';
      /** From the first one's base offset to the last one's end; of the last one all the rest. */
      readonly row: CopiedRow;
      /** Last offsets of the rows before the last one, ascending. */
      readonly replaced: readonly number[];
      /** Ascending, as in the payload. */
      readonly runs: readonly KeptRun[];
      /** Messages that are left in the bucket then. */
      readonly left: number;
      /** The entry that compacted the bucket before; 0 = none did. */
      readonly before: LogIndex;
      /** As in `copyRow`. */
      readonly lowest: LogIndex;
      readonly until: number;
    }
  | {
      readonly type: 'openQueue';
      readonly queueId: QueueId;
      readonly topicId: string;
      /** The queue's number within its topic. */
      readonly queue: number;
      /** Absent = every message stays until its retention ends. */
      readonly compaction?: QueueCompaction | undefined;
    }
  | { readonly type: 'closeQueue'; readonly queueId: QueueId }
  /** Writes whose queue was picked at an earlier queue epoch are refused from now on. */
  | { readonly type: 'fenceQueue'; readonly queueId: QueueId; readonly minQueueEpoch: number }
  | TransactionCommand
  /** Group commands live in the shard that the group's name hashes to. */
  | {
      readonly type: 'commitOffsets';
      readonly group: string;
      readonly topicId: string;
      readonly offsets: readonly QueueOffsetEntry[];
      /** Who commits; absent = somebody who is no member: only while the group has none. */
      readonly member?: GroupMemberRef;
    }
  | {
      readonly type: 'resetOffsets';
      readonly group: string;
      readonly topicId: string;
      readonly offsets: readonly QueueOffsetEntry[];
    }
  | GroupCommand
  /** From the next entry on, what the level brought may be written (feature-level.ts). */
  | { readonly type: 'raiseLevel'; readonly level: number }
  /** The topic is gone: forget what groups committed on it. */
  | { readonly type: 'forgetTopic'; readonly topicId: string }
  /** Start offsets rise; entries up to `logTrim` are needed by nothing (internals rules 5, 7). */
  | {
      readonly type: 'trim';
      readonly queues: readonly {
        readonly queueId: QueueId;
        readonly startOffset: number;
        /** Log index of the entry that holds `startOffset`; 0 = the queue is empty from there. */
        readonly startIndex: LogIndex;
      }[];
      readonly logTrim: LogIndex;
    }
  | DeliveryCommand;

/**
 * `preparing`: its parts are being stored. `parked`: undecided, and nobody is asked any more until
 * an operator says so.
 */
export type TransactionState = 'preparing' | 'undecided' | 'parked' | 'committed' | 'rolledBack';

export interface TransactionId {
  readonly term: Term;
  readonly index: LogIndex;
}

/** By the id that Prepare answered, or by the caller's own id within the producer group. */
export type TransactionRef =
  | { readonly by: 'id'; readonly id: TransactionId }
  | { readonly by: 'caller'; readonly callerId: string };

/** Where a (half, delayed or visible) batch stands in the log. */
export interface StoredAt {
  readonly term: Term;
  readonly index: LogIndex;
}

/** The entry that first held a batch: its name for ever. */
export type BatchId = StoredAt;

/** What needs a body that no queue shows. The names are stored by number: see the codec. */
export type BodyOwner = 'delayed' | 'delivery' | 'half' | 'part';

/** A body that may be appended again. */
export interface HeldBody {
  readonly owner: BodyOwner;
  readonly id: BatchId;
  readonly at: StoredAt;
}

/** Where the first of some messages stands that were stored before. */
export interface FirstAnswer {
  readonly at: StoredAt;
  /** In its request. */
  readonly position: number;
  /** undefined = delayed. */
  readonly baseOffset: number | undefined;
}

/** A row of a queue's index, but for where the batch lies. */
export interface CopiedRow {
  readonly queueId: QueueId;
  readonly baseOffset: number;
  readonly count: number;
  readonly storedAtMs: ShardTimeMs;
  readonly cumulativeBytes: number;
}

/** What `apply` answers to whoever proposed the entry. */
export type ApplyResult =
  | { readonly type: 'refused'; readonly refusal: Refusal }
  | {
      readonly type: 'produced';
      /** Entry that holds the messages: an earlier one for a duplicate. */
      readonly at: StoredAt;
      /** undefined = delayed. */
      readonly baseOffset: number | undefined;
      readonly count: number;
      readonly duplicate: boolean;
      /** Of the first message in the request that `at` holds; absent = 0. */
      readonly position?: number;
    }
  | { readonly type: 'delivered'; readonly count: number }
  | { readonly type: 'recalled'; readonly count: number }
  /** False: its owner is gone, or points elsewhere; or its rows are others now. */
  | { readonly type: 'copied'; readonly moved: boolean }
  | {
      readonly type: 'prepared';
      readonly id: TransactionId;
      readonly state: TransactionState;
      readonly parts: readonly StoredPart[];
      readonly firstCheckAtMs: number;
      readonly duplicate: boolean;
    }
  | { readonly type: 'partPrepared'; readonly at: StoredAt }
  | { readonly type: 'resolved'; readonly shown: readonly ShownPart[] }
  | {
      readonly type: 'ended';
      readonly id: TransactionId;
      readonly state: TransactionState;
      readonly parts: readonly StoredPart[];
      /** Participants that have not applied the outcome so far. */
      readonly unresolved: readonly ShardId[];
    }
  | { readonly type: 'leased'; readonly checks: readonly LeasedCheck[] }
  /** Of those named, how many it concerned. */
  | { readonly type: 'counted' | 'parked'; readonly count: number }
  | { readonly type: 'resumed' }
  | { readonly type: 'offsets'; readonly epoch: number }
  | { readonly type: 'joined'; readonly generation: number }
  /** How many members are gone. */
  | { readonly type: 'left'; readonly count: number }
  /** Entries up to `logTrim` are needed by nothing. */
  | { readonly type: 'trimmed'; readonly logTrim: LogIndex }
  | DeliveryResult
  | { readonly type: 'done' };

/** Closed list; the service maps each to a gRPC status and a reason of docs/errors.md. */
export type Refusal =
  | { readonly reason: 'QUEUE_NOT_OPEN'; readonly queueId: QueueId }
  /** Picked before the topic refused writes, or by another number of queues. */
  | {
      readonly reason: 'QUEUE_FENCED';
      readonly topicId: string;
      readonly minQueueEpoch: number;
      readonly given: number;
    }
  /** A message for a compacted queue that has no key, or that is not to be shown at once. */
  | { readonly reason: 'KEY_REQUIRED' | 'TOPIC_COMPACTED'; readonly queueId: QueueId }
  /** `expected` = the sequence of the next new request; `given` = that of this one. */
  | {
      readonly reason: 'SEQUENCE_GAP' | 'SEQUENCE_TOO_OLD' | 'SEQUENCE_MISMATCH';
      readonly expected: number;
      readonly given: number;
    }
  | { readonly reason: 'PRODUCER_FENCED'; readonly epoch: number; readonly given: number }
  | { readonly reason: 'TRANSACTION_NOT_FOUND' }
  | { readonly reason: 'TRANSACTION_FOREIGN' }
  | { readonly reason: 'TRANSACTION_ENDED'; readonly state: 'committed' | 'rolledBack' }
  | { readonly reason: 'TRANSACTION_ID_REUSED' }
  /** `key` is the first that was stored before, `known` where; others of the request are new. */
  | { readonly reason: 'DEDUP_KEYS_MIXED'; readonly key: string; readonly known: FirstAnswer }
  /** Its parts are not all stored yet. */
  | { readonly reason: 'TRANSACTION_PREPARING' }
  /** A transaction without an outcome holds the queue's offset. */
  | {
      readonly reason: 'OFFSETS_PENDING';
      readonly queue: number;
      readonly transaction: GlobalTransactionId;
    }
  /** It is not where the transaction began to read. */
  | {
      readonly reason: 'OFFSET_MOVED';
      readonly queue: number;
      readonly current: number | undefined;
      readonly given: number | undefined;
    }
  /** Delivered, recalled before, or never stored. */
  | { readonly reason: 'NOT_DELAYED' }
  | { readonly reason: 'GROUP_NOT_FOUND'; readonly group: string }
  | { readonly reason: 'GROUP_EXISTS'; readonly group: string }
  | DeliveryRefusal
  | { readonly reason: 'GROUP_MODE'; readonly group: string; readonly mode: GroupMode }
  | { readonly reason: 'GROUP_HAS_MEMBERS'; readonly group: string; readonly members: number }
  | {
      readonly reason: 'MEMBER_UNKNOWN' | 'MEMBER_FOREIGN';
      readonly group: string;
      readonly memberId: string;
    }
  | {
      readonly reason: 'STALE_GENERATION';
      readonly group: string;
      readonly memberId: string;
      readonly generation: number;
      readonly given: number;
      /** Of this generation, but the queue is another member's. */
      readonly queue?: number;
    }
  | {
      readonly reason: 'OFFSET_FALLS';
      readonly queue: number;
      readonly current: number;
      readonly given: number;
    };

export function refused(refusal: Refusal): ApplyResult {
  return { type: 'refused', refusal };
}

/** The same entry: an index alone may have held another one. */
export function isAt(a: StoredAt, b: StoredAt): boolean {
  return a.index === b.index && a.term === b.term;
}
