/** The commands of half messages, and what applying one answers. */
import type { LogIndex, ShardId } from '../../raft/types.ts';
import type {
  QueueId,
  QueueOffsetEntry,
  StoredAt,
  TransactionId,
  TransactionRef,
} from './commands.ts';

/** Unless the prepare says otherwise: after so many delivered checks it is parked. */
export const DEFAULT_MAX_CHECKS = 15;

export type Decision = 'commit' | 'rollback' | 'unknown';

/** A check that was handed out, by the entry that leased it: each is counted once. */
export interface LeaseRef {
  readonly id: TransactionId;
  readonly lease: LogIndex;
}

/** A transaction as other shards name it: by the entry in its coordinator that began it. */
export interface GlobalTransactionId extends TransactionId {
  readonly shard: ShardId;
}

/** The messages for one queue, as the coordinator lists them. */
export interface PartPlan {
  readonly shard: ShardId;
  readonly topic: string;
  readonly queueId: QueueId;
  /** Its number in the topic. */
  readonly queue: number;
  readonly count: number;
  /** As in a produce. */
  readonly queueEpoch?: number;
}

/** A group's offsets that are committed with the transaction, as the coordinator lists them. */
export interface OffsetPlan {
  /** The group's. */
  readonly shard: ShardId;
  readonly group: string;
}

/** A queue's committed offset before and after the transaction. */
export interface MovedOffset extends QueueOffsetEntry {
  /** undefined = nothing was committed. */
  readonly from: number | undefined;
}

export interface TopicOffsets {
  readonly topicId: string;
  readonly offsets: readonly MovedOffset[];
}

/** Where the held offsets lie in the group's shard; index 0 = not stored yet. */
export interface StoredOffsets extends OffsetPlan {
  readonly at: StoredAt;
}

/** Where a participating shard showed one part. */
export interface ShownPart {
  readonly part: number;
  readonly baseOffset: number;
}

export type TransactionCommand =
  /**
   * Payload = the half messages of one queue. The transaction's id is (shard, term, index) of this
   * entry.
   */
  | {
      readonly type: 'prepare';
      readonly producerGroup: string;
      /** '' = the caller gave none. */
      readonly callerId: string;
      readonly topic: string;
      readonly queueId: QueueId;
      readonly count: number;
      readonly firstCheckAfterMs: number;
      readonly checkIntervalMs: number;
      /** Absent = DEFAULT_MAX_CHECKS. */
      readonly maxChecks?: number;
      /** As in a produce. */
      readonly queueEpoch?: number;
      /** Who prepares it: nobody else decides. Absent = nobody was asked. */
      readonly principal?: string;
    }
  | {
      readonly type: 'end';
      readonly producerGroup: string;
      readonly transaction: TransactionRef;
      readonly decision: Decision;
      /** Who decides; absent = nobody was asked. */
      readonly principal?: string;
      /**
       * Absent = its producer group, and no other. `refusal`: a part was refused. `timeout`: its
       * preparation was not ended in time. Both concern only what is still being prepared.
       */
      readonly by?: Ender;
    }
  /** Checks about to be handed to a producer: nobody else gets them until the lease is over. */
  | {
      readonly type: 'leaseChecks';
      readonly producerGroup: string;
      readonly transactions: readonly TransactionId[];
      readonly leaseMs: number;
      /** They count once they were delivered. Absent, in logs of earlier builds: at once. */
      readonly countsLater?: true;
    }
  /** Checks that reached a producer: only these count. */
  | { readonly type: 'checksDelivered'; readonly checks: readonly LeaseRef[] }
  /** Asked about as often as they may be, and due again: from now on they wait for an operator. */
  | { readonly type: 'park'; readonly transactions: readonly TransactionId[] }
  /** A parked one is asked about again, from the first check on. */
  | { readonly type: 'resume'; readonly transaction: TransactionId }
  /**
   * Of several queues, or with offsets, in the shard of the first part: its coordinator. The id is
   * (shard, term, index) of this entry.
   */
  | {
      readonly type: 'begin';
      readonly producerGroup: string;
      readonly callerId: string;
      readonly firstCheckAfterMs: number;
      readonly checkIntervalMs: number;
      readonly maxChecks: number;
      readonly parts: readonly PartPlan[];
      readonly offsets: OffsetPlan | undefined;
      /** As in a prepare. */
      readonly principal?: string;
    }
  /** In the shard of a part. Payload = its messages. */
  | {
      readonly type: 'preparePart';
      readonly transaction: GlobalTransactionId;
      /** Its place in the list of `begin`. */
      readonly part: number;
      readonly queueId: QueueId;
      readonly count: number;
      /** As in a produce. */
      readonly queueEpoch?: number;
    }
  /** In the shard of the group: held until the outcome, if each still stands at its `from`. */
  | {
      readonly type: 'prepareOffsets';
      readonly transaction: GlobalTransactionId;
      readonly group: string;
      readonly topics: readonly TopicOffsets[];
      /** 0 and '' = the committer is no member. */
      readonly generation: number;
      readonly memberId: string;
      /** Whose the member must be; absent = nobody was asked. */
      readonly principal?: string;
    }
  /** All is stored: from now on it can be committed, and its producer group is asked about it. */
  | {
      readonly type: 'prepared';
      readonly transaction: TransactionId;
      /** Where each part lies, in the order of `begin`, and then the offsets: only these count. */
      readonly parts: readonly StoredAt[];
    }
  /** The outcome, to a participant. What it does not know (any more) is done. */
  | {
      readonly type: 'resolve';
      readonly transaction: GlobalTransactionId;
      readonly commits: boolean;
      /**
       * Parts and offsets of this shard that a commit makes good. Any other of the transaction is
       * dropped: it came late and doubles one that had its outcome before.
       */
      readonly parts: readonly StoredAt[];
    }
  /** These participants have applied the outcome. */
  | {
      readonly type: 'resolved';
      readonly transaction: TransactionId;
      readonly shards: readonly ShardId[];
      readonly shown: readonly ShownPart[];
    };

export type Ender = 'operator' | 'refusal' | 'timeout';

/** A part whose outcome has not come by then asks its coordinator. */
export const ASK_AFTER_MS = 60_000;

/** The messages of a transaction for one queue, and where they lie; index 0 = not stored yet. */
export interface StoredPart extends PartPlan {
  readonly at: StoredAt;
  /** Only when committed; undefined = dropped with its queue, or not shown yet. */
  readonly baseOffset: number | undefined;
}

export interface LeasedCheck {
  readonly id: TransactionId;
  readonly callerId: string;
  readonly parts: readonly StoredPart[];
  /** Delivered ones, this one included. */
  readonly checkCount: number;
  readonly preparedAtMs: number;
  /** The entry of this lease. */
  readonly lease: LogIndex;
}
