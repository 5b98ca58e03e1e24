/**
 * When to ask a producer group about its undecided transactions: per group, and in it per principal
 * that prepared them, what falls due. Those that were asked about often enough are nobody's check
 * any more: they fall due to be parked.
 */
import type { ShardTimeMs } from '../../raft/types.ts';
import { type Due, DueHeap } from './due-heap.ts';
import { isForeign } from './owner.ts';

export interface Checked extends Due {
  readonly producerGroup: string;
  /** Who prepared it; '' = nobody was asked. */
  readonly principal: string;
  /** Changes only while the item is out of the heaps. */
  readonly checkCount: number;
  readonly maxChecks: number;
}

/** The checks of all producer groups. */
export class Checks<Item extends Checked> {
  /** By group and principal. */
  readonly #groups = new Map<string, Map<string, DueHeap<Item>>>();
  readonly #full = new DueHeap<Item>();

  add(item: Item): void {
    this.#heapFor(item).add(item);
  }

  remove(item: Item): void {
    const heap = this.#heapFor(item);
    heap.remove(item);
    if (heap.size > 0 || heap === this.#full) return;
    const group = this.#groups.get(item.producerGroup)!;
    group.delete(item.principal);
    if (group.size === 0) this.#groups.delete(item.producerGroup);
  }

  reschedule(item: Item, nextCheckAtMs: ShardTimeMs): void {
    this.#heapFor(item).reschedule(item, nextCheckAtMs);
  }

  /** `principal`: who asks; '' = somebody who may be told of all. */
  due(
    producerGroup: string,
    principal: string,
    nowMs: ShardTimeMs,
    limit: number,
  ): readonly Item[] {
    const heaps = this.#heapsOf(producerGroup, principal);
    const found = heaps.flatMap((heap) => heap.due(nowMs, limit));
    if (heaps.length <= 1) return found;
    found.sort((a, b) => a.dueAtMs - b.dueAtMs || a.id.index - b.id.index);
    return found.slice(0, limit);
  }

  nextCheckAtMs(producerGroup: string, principal: string): ShardTimeMs | undefined {
    const heaps = this.#heapsOf(producerGroup, principal);
    if (heaps.length === 0) return undefined;
    // A heap that is empty is dropped.
    return Math.min(...heaps.map((heap) => heap.first()!.dueAtMs));
  }

  dueToPark(nowMs: ShardTimeMs, limit: number): readonly Item[] {
    return this.#full.due(nowMs, limit);
  }

  nextToParkAtMs(): ShardTimeMs | undefined {
    return this.#full.first()?.dueAtMs;
  }

  #heapsOf(producerGroup: string, principal: string): DueHeap<Item>[] {
    const group = this.#groups.get(producerGroup) ?? [];
    return [...group].filter(([owner]) => !isForeign(owner, principal)).map(([, heap]) => heap);
  }

  #heapFor(item: Item): DueHeap<Item> {
    if (item.checkCount >= item.maxChecks) return this.#full;
    let group = this.#groups.get(item.producerGroup);
    if (group === undefined) {
      group = new Map();
      this.#groups.set(item.producerGroup, group);
    }
    let heap = group.get(item.principal);
    if (heap === undefined) {
      heap = new DueHeap();
      group.set(item.principal, heap);
    }
    return heap;
  }
}
