/**
 * Commands of per-message consumption: messages of one queue are handed to the consumers of a group
 * one by one, for a time, until each is decided. All of it lives in the queue's own shard.
 */
import type { LogIndex, ShardTimeMs } from '../../raft/types.ts';
import type { QueueId, StoredAt } from './commands.ts';

/** Where the bytes of one message are. */
export interface MessagePlace {
  readonly at: StoredAt;
  /** Position in that entry's batch. */
  readonly position: number;
  /** Index of the entry that held it first: with `position` its name for ever. */
  readonly firstIndex: LogIndex;
  /** When it became visible in its queue. */
  readonly storedAtMs: ShardTimeMs;
}

/** A message that was never given to the group. */
export interface FreshMessage extends MessagePlace {
  /** Of its key; 0 = it has none, or nobody cares for the order of keys. */
  readonly keyHash: number;
}

/** Which messages a group wants: settled when it subscribes, and the same for ever. */
export interface DeliveryFilter {
  readonly type: number;
  readonly expression: string;
}

/** What a lease for a group with a filter says besides. */
export interface Selection {
  readonly filter: DeliveryFilter;
  /**
   * How many messages are passed over before each of `fresh`, and after the last: decided for the
   * group for good, as if acknowledged. What is missing is 0.
   */
  readonly passed: readonly number[];
}

/** What a consumer says about a delivery that it holds. */
export type Verdict =
  | { readonly type: 'ack' }
  /** Without `delayMs`: by the level of its attempt. */
  | { readonly type: 'nack'; readonly delayMs: number | undefined }
  /** The lease ends so long after the entry that says so. */
  | { readonly type: 'extend'; readonly extendMs: number }
  /** Nobody has got it: free at once, and this lease does not count. Said by nodes alone. */
  | { readonly type: 'release' };

export interface SettleItem {
  readonly offset: number;
  /** Log index of the entry that leased it: whoever names another holds it no more. */
  readonly token: LogIndex;
  readonly verdict: Verdict;
}

export interface DeliveryName {
  readonly group: string;
  readonly queueId: QueueId;
  readonly offset: number;
}

export type DeliveryCommand =
  /** Picked by the leader; what is not free any more when this is applied is left out. */
  | {
      readonly type: 'lease';
      readonly group: string;
      readonly queueId: QueueId;
      readonly fifo: boolean;
      /** Makes the subscription, beginning there; undefined: there is one, or nothing is leased. */
      readonly fromOffset: number | undefined;
      /** Its name for lists; '' = it gave none. */
      readonly consumer: string;
      readonly leaseMs: number;
      /** Offsets of messages that were given before. */
      readonly again: readonly number[];
      /** From `freshOffset` on without a gap, but for what `selection` passes over. */
      readonly freshOffset: number;
      readonly fresh: readonly FreshMessage[];
      readonly selection?: Selection | undefined;
    }
  | {
      readonly type: 'settle';
      readonly group: string;
      readonly queueId: QueueId;
      readonly items: readonly SettleItem[];
    }
  /** The last leases of messages that have had all their attempts have ended. */
  | { readonly type: 'expire'; readonly deliveries: readonly DeliveryName[] }
  /** The group goes on from there; what it had pending in the queue is forgotten. */
  | {
      readonly type: 'seekSubscription';
      readonly group: string;
      readonly queueId: QueueId;
      readonly offset: number;
    }
  | {
      readonly type: 'settleDead';
      readonly group: string;
      readonly queueId: QueueId;
      readonly action: 'resend' | 'purge';
      readonly offsets: readonly number[];
    }
  | { readonly type: 'unsubscribe'; readonly group: string; readonly queueId: QueueId };

export interface LeasedMessage {
  readonly offset: number;
  readonly attempt: number;
}

export interface Settled {
  /**
   * stale: leased again since; notLeased: given back before; decided: acknowledged before, or the
   * group was moved past it.
   */
  readonly status: 'ok' | 'stale' | 'notLeased' | 'decided' | 'dead';
  /** Of an ok nack or extend: when it is free again, or its lease ends. */
  readonly dueAtMs?: ShardTimeMs;
  /** An ok nack of its last attempt. */
  readonly isDead?: boolean;
}

export type DeliveryResult =
  | {
      readonly type: 'given';
      readonly token: LogIndex;
      readonly leaseUntilMs: ShardTimeMs;
      readonly messages: readonly LeasedMessage[];
    }
  | { readonly type: 'settled'; readonly items: readonly Settled[] }
  | { readonly type: 'buried'; readonly count: number }
  | { readonly type: 'sought'; readonly cursor: number }
  | { readonly type: 'deadSettled'; readonly count: number };

export type DeliveryRefusal =
  | { readonly reason: 'SUBSCRIPTION_NOT_FOUND'; readonly group: string }
  /** `fifo` = how the subscription was made. */
  | { readonly reason: 'SUBSCRIPTION_FIFO'; readonly group: string; readonly fifo: boolean }
  /** `filter` = the one that the subscription was made with. */
  | {
      readonly reason: 'SUBSCRIPTION_FILTER';
      readonly group: string;
      readonly filter: DeliveryFilter | undefined;
    };

export function isSameFilter(
  one: DeliveryFilter | undefined,
  other: DeliveryFilter | undefined,
): boolean {
  return one?.type === other?.type && one?.expression === other?.expression;
}
