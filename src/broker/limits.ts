/**
 * Bounds of a data shard's state. Every replica must use the same values: they decide what `apply`
 * forgets. The admission limits are checked by the service, against `counts()`, before an entry is
 * proposed; `apply` never refuses because of them.
 */
export interface DataShardLimits {
  /** A producer unheard for this long (shard time) may be forgotten with its dedup window. */
  readonly producerIdleMs: number;
  /** (producer, queue) pairs kept; beyond it the longest idle ones are forgotten. */
  readonly maxProducers: number;
  /** How long the outcome of an ended transaction, and its caller id, are remembered. */
  readonly endedTransactionKeepMs: number;
  /** Outcomes remembered; beyond it the oldest go even before `endedTransactionKeepMs`. */
  readonly maxEndedTransactions: number;
  /** Closed queue ids remembered, so that a late `openQueue` cannot open them again. */
  readonly maxClosedQueues: number;
  /** Begun, and not prepared after this (shard time): rolled back. */
  readonly prepareTimeoutMs: number;
  /** Admission: undecided transactions. */
  readonly maxUndecidedTransactions: number;
  /** Admission: parts of transactions over several queues that wait for their outcome. */
  readonly maxTransactionParts: number;
  /** Admission: offsets that transactions hold. */
  readonly maxHeldOffsets: number;
  /** Admission: delayed batches that wait for their time. */
  readonly maxDelayedBatches: number;
  /** Admission: dedup keys whose window has not ended. */
  readonly maxDedupKeys: number;
  /** Admission: keys of compacted queues. */
  readonly maxCompactedKeys: number;
  /** Admission: consumer groups. */
  readonly maxGroups: number;
  /** Admission: committed offsets, over all groups. */
  readonly maxGroupOffsets: number;
  /** Of where a group stood, about one record in so long is kept while it is fresh. */
  readonly offsetRecordSpacingMs: number;
  /** Records of that age go. */
  readonly offsetRecordKeepMs: number;
  /** Over all groups and queues; beyond it a new one takes the place of the queue's oldest. */
  readonly maxOffsetRecords: number;
  /** Admission: members of consumer groups. */
  readonly maxGroupMembers: number;
  /** Admission: queues of the topics that groups with members read. */
  readonly maxGroupQueues: number;
  /** Leases of a message before it becomes a dead letter. */
  readonly maxDeliveryAttempts: number;
  /** Admission: subscriptions, one per group and queue. */
  readonly maxSubscriptions: number;
  /** Admission: messages of one subscription that are pending; beyond it no new ones are given. */
  readonly maxPendingPerSubscription: number;
  /** Admission: the same over all subscriptions. */
  readonly maxPendingDeliveries: number;
  /** Dead letters; beyond it messages that should become some go on waiting. */
  readonly maxDeadLetters: number;
}

const DAY_MS = 86_400_000;

export const DATA_SHARD_LIMITS: DataShardLimits = Object.freeze({
  producerIdleMs: 7 * DAY_MS,
  maxProducers: 4096,
  endedTransactionKeepMs: DAY_MS,
  maxEndedTransactions: 20_000,
  maxClosedQueues: 4096,
  prepareTimeoutMs: 60_000,
  maxUndecidedTransactions: 20_000,
  maxTransactionParts: 40_000,
  maxHeldOffsets: 20_000,
  maxDelayedBatches: 100_000,
  maxDedupKeys: 200_000,
  maxCompactedKeys: 200_000,
  maxGroups: 5000,
  maxGroupOffsets: 100_000,
  offsetRecordSpacingMs: 10_000,
  offsetRecordKeepMs: 7 * DAY_MS,
  maxOffsetRecords: 200_000,
  maxGroupMembers: 10_000,
  maxGroupQueues: 100_000,
  maxDeliveryAttempts: 16,
  maxSubscriptions: 20_000,
  maxPendingPerSubscription: 10_000,
  maxPendingDeliveries: 100_000,
  maxDeadLetters: 50_000,
});

/** Requests remembered per (producer, epoch, queue): as many as may be in flight (rule 13). */
export const DEDUP_WINDOW_REQUESTS = 64;

/** Older records of where a group stood lie no further apart than their age divided by this. */
export const OFFSET_RECORDS_PER_AGE = 32;

/** Per group and queue: what the rules above leave is fewer, but for many resets. */
export const OFFSET_RECORDS_MAX = 1024;

/** Offsets per reference to what was shown late: one small row for as many offsets. */
export const LATE_REFERENCE_OFFSETS = 1024;

/** Expired things that one entry may forget: keeps every apply short. */
export const MAX_FORGOTTEN_PER_ENTRY = 16;
