/** The lines that are about messages consumed one by one. */
import type { Attempt } from './operation-lines.ts';

/** A message as it was given to a consumer, on lease. */
export interface Delivery {
  readonly queue: number;
  readonly offset: number;
  readonly value: string;
  readonly attempt: number;
  /** The fencing token of the lease. */
  readonly fence: number;
  /** When it ends by what the node said, in time of the run. */
  readonly untilMs: number;
}

interface OfGroup extends Attempt {
  readonly group: string;
  /** The id of the topic. */
  readonly topic: string;
}

export interface Receive extends OfGroup {
  readonly type: 'receive';
  readonly leaseMs: number;
  /** A key's messages come one after the other. */
  readonly fifo?: boolean;
  readonly deliveries: readonly Delivery[];
}

export type SettleStatus =
  | 'SETTLED'
  | 'STALE_TOKEN'
  | 'NOT_LEASED'
  | 'DECIDED'
  | 'DEAD'
  | 'OUTCOME_OPEN';

export interface Settled {
  readonly queue: number;
  readonly offset: number;
  readonly fence: number;
  /** Absent where the call had no answer. */
  readonly status?: SettleStatus;
  /** When it comes again, or the lease ends, in time of the run. */
  readonly dueMs?: number;
}

export interface Settle extends OfGroup {
  readonly type: 'settle';
  readonly verdict: 'ack' | 'nack' | 'extend';
  readonly items: readonly Settled[];
}

export interface DeadLetter {
  readonly offset: number;
  readonly attempts: number;
  /** `NACKED` or `EXPIRED`: how its last lease ended. */
  readonly cause: string;
}

/** After the run: a group has nothing pending in a queue, and nothing before it. */
export interface Drained {
  readonly type: 'drained';
  readonly group: string;
  readonly topic: string;
  readonly queue: number;
  /** The next message that was never given. */
  readonly cursor: number;
  readonly dead: readonly DeadLetter[];
}
