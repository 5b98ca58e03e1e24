/**
 * What falls due, in the order of (time, log index): a binary heap whose items know their places.
 * The next due time is its head; finding what is due costs by what is found, never by what is kept.
 */
import type { LogIndex, ShardTimeMs } from '../../raft/types.ts';

export interface Due {
  readonly id: { readonly index: LogIndex };
  dueAtMs: ShardTimeMs;
  /** Its place in the heap: kept by the heap alone. */
  heapPosition: number;
}

export class DueHeap<Item extends Due> {
  readonly #items: Item[] = [];

  get size(): number {
    return this.#items.length;
  }

  first(): Item | undefined {
    return this.#items[0];
  }

  add(item: Item): void {
    this.#items.push(item);
    this.#rise(item, this.#items.length - 1);
  }

  remove(item: Item): void {
    const at = item.heapPosition;
    const last = this.#items.pop()!;
    if (last !== item) this.#settle(last, at);
    item.heapPosition = -1;
  }

  reschedule(item: Item, dueAtMs: ShardTimeMs): void {
    item.dueAtMs = dueAtMs;
    this.#settle(item, item.heapPosition);
  }

  /** Those due at `nowMs`, in order, at most `limit`. Walks only below items that are due. */
  due(nowMs: ShardTimeMs, limit: number): Item[] {
    const found: Item[] = [];
    const open = [0];
    while (found.length < limit) {
      const at = this.#takeEarliest(open);
      const item = at === undefined ? undefined : this.#items[at];
      if (at === undefined || item === undefined || item.dueAtMs > nowMs) break;
      found.push(item);
      open.push(2 * at + 1, 2 * at + 2);
    }
    return found;
  }

  /** The candidates are few (at most one more than what was found): a plain search will do. */
  #takeEarliest(open: number[]): number | undefined {
    let best = -1;
    for (let i = 0; i < open.length; i += 1) {
      const item = this.#items[open[i]!];
      if (item === undefined) continue;
      if (best < 0 || isBefore(item, this.#items[open[best]!]!)) best = i;
    }
    return best < 0 ? undefined : open.splice(best, 1)[0];
  }

  #settle(item: Item, at: number): void {
    const parent = this.#items[(at - 1) >> 1];
    if (at > 0 && parent !== undefined && isBefore(item, parent)) this.#rise(item, at);
    else this.#sink(item, at);
  }

  #rise(item: Item, from: number): void {
    let at = from;
    while (at > 0) {
      const parentAt = (at - 1) >> 1;
      const parent = this.#items[parentAt]!;
      if (!isBefore(item, parent)) break;
      this.#place(parent, at);
      at = parentAt;
    }
    this.#place(item, at);
  }

  #sink(item: Item, from: number): void {
    let at = from;
    for (;;) {
      const left = this.#items[2 * at + 1];
      const right = this.#items[2 * at + 2];
      if (left === undefined) break;
      const isRight = right !== undefined && isBefore(right, left);
      const child = isRight ? right : left;
      if (!isBefore(child, item)) break;
      this.#place(child, at);
      at = 2 * at + (isRight ? 2 : 1);
    }
    this.#place(item, at);
  }

  #place(item: Item, at: number): void {
    this.#items[at] = item;
    item.heapPosition = at;
  }
}

function isBefore(a: Due, b: Due): boolean {
  if (a.dueAtMs !== b.dueAtMs) return a.dueAtMs < b.dueAtMs;
  return a.id.index < b.id.index;
}
