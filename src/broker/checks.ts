/**
 * When to ask a producer group about its undecided transactions: per group what falls due. Those
 * that were asked about often enough are nobody's check any more: they fall due to be parked.
 */
import type { ShardTimeMs } from '../../raft/types.ts';
import { type Due, DueHeap } from './due-heap.ts';

export interface Checked extends Due {
  readonly producerGroup: string;
  /** Changes only while the item is out of the heaps. */
  readonly checkCount: number;
  readonly maxChecks: number;
}

/** The checks of all producer groups. */
export class Checks<Item extends Checked> {
  readonly #groups = new Map<string, DueHeap<Item>>();
  readonly #full = new DueHeap<Item>();

  add(item: Item): void {
    this.#heapFor(item).add(item);
  }

  remove(item: Item): void {
    const heap = this.#heapFor(item);
    heap.remove(item);
    if (heap.size === 0 && heap !== this.#full) this.#groups.delete(item.producerGroup);
  }

  reschedule(item: Item, nextCheckAtMs: ShardTimeMs): void {
    this.#heapFor(item).reschedule(item, nextCheckAtMs);
  }

  due(producerGroup: string, nowMs: ShardTimeMs, limit: number): readonly Item[] {
    return this.#groups.get(producerGroup)?.due(nowMs, limit) ?? [];
  }

  nextCheckAtMs(producerGroup: string): ShardTimeMs | undefined {
    return this.#groups.get(producerGroup)?.first()?.dueAtMs;
  }

  dueToPark(nowMs: ShardTimeMs, limit: number): readonly Item[] {
    return this.#full.due(nowMs, limit);
  }

  nextToParkAtMs(): ShardTimeMs | undefined {
    return this.#full.first()?.dueAtMs;
  }

  #heapFor(item: Item): DueHeap<Item> {
    if (item.checkCount >= item.maxChecks) return this.#full;
    let heap = this.#groups.get(item.producerGroup);
    if (heap === undefined) {
      heap = new DueHeap();
      this.#groups.set(item.producerGroup, heap);
    }
    return heap;
  }
}
