/** The commands of half messages, and what applying one answers. */
import type { LogIndex } from '../../raft/types.ts';
import type { QueueId, TransactionId, TransactionRef } from './commands.ts';

/** Unless the prepare says otherwise: after so many delivered checks it is parked. */
export const DEFAULT_MAX_CHECKS = 15;

export type Decision = 'commit' | 'rollback' | 'unknown';

/** A check that was handed out, by the entry that leased it: each is counted once. */
export interface LeaseRef {
  readonly id: TransactionId;
  readonly lease: LogIndex;
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
    }
  | {
      readonly type: 'end';
      readonly producerGroup: string;
      readonly transaction: TransactionRef;
      readonly decision: Decision;
      /** Absent = its producer group, and no other. */
      readonly by?: 'operator';
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
  | { readonly type: 'resume'; readonly transaction: TransactionId };

export interface LeasedCheck {
  readonly id: TransactionId;
  readonly callerId: string;
  readonly topic: string;
  readonly queueId: QueueId;
  readonly queue: number;
  readonly count: number;
  /** Delivered ones, this one included. */
  readonly checkCount: number;
  readonly preparedAtMs: number;
  /** The entry of this lease. */
  readonly lease: LogIndex;
}
