/**
 * What is pending in one subscription: by offset, by the time at which it may be given again, and,
 * in FIFO mode, by key. Of the messages of a key only the one that became pending first may be
 * given; the others stand in line behind it, in no heap.
 */
import type { ShardTimeMs } from '../../raft/types.ts';
import { DueHeap } from './due-heap.ts';
import type { Pending } from './pending-rows.ts';

export class PendingDeliveries {
  readonly #byOffset = new Map<number, Pending>();
  #free = new DueHeap<Pending>();
  /** Those that have had all their attempts, of all subscriptions of the shard. */
  readonly #spent: DueHeap<Pending>;
  readonly #maxAttempts: number;
  /** By key hash, each in the order in which they became pending. */
  readonly #lines: Map<number, Pending[]> | undefined;
  #leased = 0;

  constructor(maxAttempts: number, isFifo: boolean, spent: DueHeap<Pending>) {
    this.#maxAttempts = maxAttempts;
    this.#lines = isFifo ? new Map() : undefined;
    this.#spent = spent;
  }

  get size(): number {
    return this.#byOffset.size;
  }

  /** Leased now, or expired and not given again yet. */
  get leased(): number {
    return this.#leased;
  }

  get nextDueAtMs(): ShardTimeMs | undefined {
    return this.#free.first()?.dueAtMs;
  }

  all(): IterableIterator<Pending> {
    return this.#byOffset.values();
  }

  get(offset: number): Pending | undefined {
    return this.#byOffset.get(offset);
  }

  due(nowMs: ShardTimeMs, limit: number): Pending[] {
    return this.#free.due(nowMs, limit);
  }

  /** Free: its time has come, attempts are left, and no other message of its key is undecided. */
  isFree(pending: Pending, nowMs: ShardTimeMs): boolean {
    return pending.dueAtMs <= nowMs && !this.#isSpent(pending) && this.#isFirst(pending);
  }

  /** Its last lease has ended, or its wait for room among the dead letters. */
  isOver(pending: Pending, nowMs: ShardTimeMs): boolean {
    return this.#isSpent(pending) && pending.dueAtMs <= nowMs;
  }

  /** False: it stands in line behind another message of its key. */
  add(pending: Pending): boolean {
    this.#byOffset.set(pending.offset, pending);
    if (this.#lines !== undefined && pending.keyHash !== 0) {
      const line = this.#lines.get(pending.keyHash);
      if (line === undefined) this.#lines.set(pending.keyHash, [pending]);
      else line.push(pending);
    }
    return this.#enter(pending);
  }

  /** `change` may set everything but what tells its place in its line. */
  change(pending: Pending, change: (pending: Pending) => void): void {
    this.#leave(pending);
    change(pending);
    this.#enter(pending);
  }

  /** It is decided: the next message of its key may come. */
  remove(pending: Pending): void {
    this.#byOffset.delete(pending.offset);
    this.#leave(pending);
    const line = this.#lines?.get(pending.keyHash);
    if (line === undefined) return;
    line.splice(line.indexOf(pending), 1);
    const [next] = line;
    if (next === undefined) this.#lines!.delete(pending.keyHash);
    else if (next.heapPosition < 0) this.#enter(next);
  }

  clear(): void {
    for (const pending of this.#byOffset.values()) {
      if (pending.heapPosition >= 0 && this.#isSpent(pending)) this.#spent.remove(pending);
    }
    this.#byOffset.clear();
    this.#lines?.clear();
    this.#free = new DueHeap();
    this.#leased = 0;
  }

  #enter(pending: Pending): boolean {
    if (pending.isLeased) this.#leased += 1;
    if (!this.#isFirst(pending)) return false;
    (this.#isSpent(pending) ? this.#spent : this.#free).add(pending);
    return true;
  }

  #leave(pending: Pending): void {
    if (pending.isLeased) this.#leased -= 1;
    if (pending.heapPosition < 0) return;
    (this.#isSpent(pending) ? this.#spent : this.#free).remove(pending);
  }

  #isSpent({ attempt }: Pending): boolean {
    return attempt >= this.#maxAttempts;
  }

  #isFirst(pending: Pending): boolean {
    const line = this.#lines?.get(pending.keyHash);
    return line === undefined || line[0] === pending;
  }
}
