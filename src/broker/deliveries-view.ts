/** What others may see of the messages that are consumed one by one. */
import type { ShardTimeMs } from '../../raft/types.ts';
import type { QueueId } from './commands.ts';
import type { DeadLetterView } from './dead-letters.ts';
import type { DeliveryFilter, DeliveryName } from './delivery-commands.ts';
import type { PendingView } from './pending-rows.ts';

export interface SubscriptionView {
  readonly group: string;
  readonly queueId: QueueId;
  readonly fifo: boolean;
  /** The group gets only messages that it fits; undefined = all. */
  readonly filter: DeliveryFilter | undefined;
  readonly maxAttempts: number;
  /** The next message that was never given to the group. */
  readonly cursor: number;
  readonly pending: number;
  /** Of the pending ones: leased, or expired and not given again yet. */
  readonly leased: number;
  readonly dead: number;
  readonly deadRefused: number;
}

/** What the leader looks at; all of it is decided again when an entry is applied. */
export interface DeliveriesView {
  subscription(group: string, queueId: QueueId): SubscriptionView | undefined;
  subscriptions(): Iterable<SubscriptionView>;
  /** Of the group in the queue, what may be given again at `nowMs`, the longest free first. */
  due(group: string, queueId: QueueId, nowMs: ShardTimeMs, limit: number): readonly PendingView[];
  /** When the next pending message may be given again; undefined = none waits for that. */
  nextDueAtMs(group: string, queueId: QueueId): ShardTimeMs | undefined;
  pendingAt(group: string, queueId: QueueId, offset: number): PendingView | undefined;
  pending(group: string, queueId: QueueId): Iterable<PendingView>;
  /** Messages that had all their attempts and whose last lease has ended at `nowMs`. */
  over(nowMs: ShardTimeMs, limit: number): readonly DeliveryName[];
  nextOverAtMs(): ShardTimeMs | undefined;
  deadLetter(group: string, queueId: QueueId, offset: number): DeadLetterView | undefined;
  deadLetters(
    group: string,
    queueId: QueueId,
    fromOffset: number,
    limit: number,
  ): readonly DeadLetterView[];
}

export interface DeliveryCounts {
  readonly subscriptions: number;
  readonly pendingDeliveries: number;
  readonly deadLetters: number;
}
