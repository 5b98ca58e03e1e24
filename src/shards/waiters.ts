/**
 * Long polls that wait at the end of a queue. A waiter leaves by data, by time, by cancellation, or
 * because this node stopped leading the shard; whichever comes first.
 */
import type { ShardId } from '../../raft/types.ts';
import type { QueueId } from '../broker/commands.ts';

export type WakeReason = 'data' | 'timeout' | 'deposed' | 'cancelled';

export interface Waiter {
  /** Wakes it with `reason` unless it already left. */
  leave(reason: WakeReason): void;
}

interface Waiting extends Waiter {
  readonly shard: ShardId;
}

export class QueueWaiters {
  readonly #byQueue = new Map<QueueId, Set<Waiting>>();
  readonly #max: number;
  #count = 0;

  /** `max` bounds all waiters of the node (`maxWaitingFetches`). */
  constructor(max: number) {
    this.#max = max;
  }

  get count(): number {
    return this.#count;
  }

  get full(): boolean {
    return this.#count >= this.#max;
  }

  wait(
    shard: ShardId,
    queueId: QueueId,
    waitMs: number,
    wake: (reason: WakeReason) => void,
  ): Waiter {
    let waiting = true;
    const leave = (reason: WakeReason): void => {
      if (!waiting) return;
      waiting = false;
      clearTimeout(timer);
      this.#remove(queueId, waiter);
      wake(reason);
    };
    const timer = setTimeout(() => leave('timeout'), waitMs);
    const waiter: Waiting = { shard, leave };
    const set = this.#byQueue.get(queueId);
    if (set === undefined) this.#byQueue.set(queueId, new Set([waiter]));
    else set.add(waiter);
    this.#count++;
    return waiter;
  }

  wakeQueue(queueId: QueueId, reason: WakeReason): void {
    const set = this.#byQueue.get(queueId);
    if (set === undefined) return;
    for (const waiter of [...set]) waiter.leave(reason);
  }

  wakeShard(shard: ShardId, reason: WakeReason): void {
    for (const set of [...this.#byQueue.values()]) {
      for (const waiter of [...set]) if (waiter.shard === shard) waiter.leave(reason);
    }
  }

  #remove(queueId: QueueId, waiter: Waiting): void {
    const set = this.#byQueue.get(queueId);
    if (set?.delete(waiter)) this.#count--;
    if (set?.size === 0) this.#byQueue.delete(queueId);
  }
}
