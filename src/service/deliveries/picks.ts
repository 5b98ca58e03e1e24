/**
 * What the leader of a shard may offer to the next who asks. Leases that are on their way through
 * the log are claimed here, so that those who ask at the same time are not offered the same; apply
 * decides, and a claim that comes to nothing is let go of.
 */
import type { DataShard } from '../../broker/api.ts';
import { DATA_SHARD_LIMITS } from '../../broker/limits.ts';
import type { PendingView } from '../../broker/pending-rows.ts';

export interface Offer {
  /** Given before, free again. */
  readonly again: readonly PendingView[];
  readonly freshOffset: number;
  /** How many new ones, from `freshOffset` on. */
  readonly freshCount: number;
  /** False: then nothing is offered. */
  readonly isSubscribed: boolean;
}

interface Claim {
  /** Somebody reads what he will lease: how much that is, is not known yet. */
  isReading: boolean;
  /** The next new message that nobody has claimed; undefined = where the cursor is. */
  nextOffset: number | undefined;
  readonly again: Set<number>;
  /** Leases on their way. */
  open: number;
}

const NOTHING: Offer = { again: [], freshOffset: 0, freshCount: 0, isSubscribed: true };

export class Picks {
  readonly #claims = new Map<string, Claim>();
  readonly #onFree: () => void;

  /** `onFree` is told when what was claimed may be offered again. */
  constructor(onFree: () => void) {
    this.#onFree = onFree;
  }

  isFree(data: DataShard, group: string, queueId: number, nowMs: number): boolean {
    const { again, freshCount, isSubscribed } = this.offer(data, group, queueId, nowMs, 1);
    // Whoever waits and is not subscribed any more has to hear of it.
    return !isSubscribed || again.length + freshCount > 0;
  }

  offer(data: DataShard, group: string, queueId: number, nowMs: number, limit: number): Offer {
    const queue = data.queue(queueId);
    const claim = this.#claims.get(nameOf(group, queueId));
    if (queue === undefined || claim?.isReading === true) return NOTHING;
    const known = data.deliveries.subscription(group, queueId);
    if (known === undefined) return { ...NOTHING, isSubscribed: false };
    const claimed = claim?.again ?? new Set();
    const again = data.deliveries
      .due(group, queueId, nowMs, limit + claimed.size)
      .filter(({ offset }) => !claimed.has(offset))
      .slice(0, limit);
    const cursor = claim?.nextOffset ?? known.cursor;
    const freshOffset = Math.max(cursor, queue.startOffset);
    const room = freshRoom(data, known.pending);
    const freshCount = Math.min(limit - again.length, queue.endOffset - freshOffset, room);
    return { again, freshOffset, freshCount: Math.max(0, freshCount), isSubscribed: true };
  }

  /** Nobody else is offered anything of the queue until `claim` or `cancel`. */
  beginReading(group: string, queueId: number): void {
    const name = nameOf(group, queueId);
    const claim = this.#claims.get(name);
    if (claim !== undefined) claim.isReading = true;
    else {
      this.#claims.set(name, {
        ...{ isReading: true, nextOffset: undefined, open: 0 },
        again: new Set(),
      });
    }
  }

  cancel(group: string, queueId: number): void {
    const claim = this.#claims.get(nameOf(group, queueId))!;
    claim.isReading = false;
    if (claim.open === 0) this.#claims.delete(nameOf(group, queueId));
    this.#onFree();
  }

  /** What was read is proposed; call what is returned when its outcome is known. */
  claim(
    group: string,
    queueId: number,
    again: readonly number[],
    nextOffset: number | undefined,
  ): () => void {
    const claim = this.#claims.get(nameOf(group, queueId))!;
    claim.isReading = false;
    claim.open += 1;
    if (nextOffset !== undefined) claim.nextOffset = nextOffset;
    for (const offset of again) claim.again.add(offset);
    this.#onFree();
    return () => {
      claim.open -= 1;
      for (const offset of again) claim.again.delete(offset);
      if (claim.open === 0) {
        claim.nextOffset = undefined;
        if (!claim.isReading) this.#claims.delete(nameOf(group, queueId));
      }
      this.#onFree();
    };
  }
}

function freshRoom(data: DataShard, pending: number): number {
  const { maxPendingPerSubscription, maxPendingDeliveries } = DATA_SHARD_LIMITS;
  const inShard = maxPendingDeliveries - data.counts().pendingDeliveries;
  return Math.max(0, Math.min(maxPendingPerSubscription - pending, inShard));
}

function nameOf(group: string, queueId: number): string {
  return `${queueId}:${group}`;
}
