/** When to ask a producer group about its undecided transactions: per group what falls due. */
import type { ShardTimeMs } from '../../raft/types.ts';
import { type Due, DueHeap } from './due-heap.ts';

/** The checks of all producer groups. */
export class Checks<Item extends Due & { readonly producerGroup: string }> {
  readonly #groups = new Map<string, DueHeap<Item>>();

  add(item: Item): void {
    let heap = this.#groups.get(item.producerGroup);
    if (heap === undefined) {
      heap = new DueHeap();
      this.#groups.set(item.producerGroup, heap);
    }
    heap.add(item);
  }

  remove(item: Item): void {
    const heap = this.#groups.get(item.producerGroup)!;
    heap.remove(item);
    if (heap.size === 0) this.#groups.delete(item.producerGroup);
  }

  reschedule(item: Item, nextCheckAtMs: ShardTimeMs): void {
    this.#groups.get(item.producerGroup)!.reschedule(item, nextCheckAtMs);
  }

  due(producerGroup: string, nowMs: ShardTimeMs, limit: number): readonly Item[] {
    return this.#groups.get(producerGroup)?.due(nowMs, limit) ?? [];
  }

  nextCheckAtMs(producerGroup: string): ShardTimeMs | undefined {
    return this.#groups.get(producerGroup)?.first()?.dueAtMs;
  }
}
