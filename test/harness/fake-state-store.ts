import type { StateFlush } from '../../src/shards/state-flush.ts';
import {
  decodeIndexRow,
  indexReads,
  type Scan,
  type StoredRow,
} from '../../storage/index-reader.ts';
import { asBuffer, decodeKey, KeyKind } from '../../storage/keys.ts';
import type { Effects } from '../../storage/level-state.ts';
import { type IndexRow, seal } from '../../storage/row-codec.ts';

type Store = ConstructorParameters<typeof StateFlush>[0];

/** A LevelDB that writes and answers when told; it keeps the queue index only. */
export class FakeStateStore implements Store {
  readonly written: Effects[] = [];
  readonly swaps: string[] = [];
  readonly #rows = new Map<string, StoredRow>();
  readonly #waiting: { effects: Effects; done: (() => void) | undefined }[] = [];
  readonly #reads: (() => void)[] = [];
  #swapped: (() => void)[] = [];
  hasRoom = true;
  pendingBytes = 0;
  /** Reads see what is there when they end; else when they were asked for. */
  readsLate = false;

  /** In key order. */
  get rows(): readonly IndexRow[] {
    return this.#inOrder().map(decodeIndexRow);
  }

  erase(): void {
    this.#rows.clear();
  }

  write(effects: Effects, done?: () => void): void {
    this.#waiting.push({ effects, done });
  }

  replaceShard: Store['replaceShard'] = ({ shard, index }, tables, done) => {
    this.swaps.push(`${shard} at ${index} with ${tables.length}`);
    this.#swapped.push(done);
  };

  dropShard: Store['dropShard'] = (shard, done) => {
    this.swaps.push(`${shard} gone`);
    this.#swapped.push(done);
  };

  finishSwap(): void {
    this.#swapped.shift()?.();
    this.wrote();
  }

  /** A batch ended, perhaps one of the store's own. */
  wrote: () => void = () => {};

  onWritten(listener: () => void): void {
    this.wrote = listener;
  }

  /** Completes the oldest write. */
  finishWrite(): boolean {
    const next = this.#waiting.shift();
    if (next === undefined) return false;
    this.written.push(next.effects);
    for (const { key, value } of next.effects.ops) {
      if (decodeKey(key).kind !== KeyKind.queueIndex) continue;
      if (value === undefined) this.#rows.delete(nameOf(key));
      else this.#rows.set(nameOf(key), [key, seal(key, value)]);
    }
    next.done?.();
    this.wrote();
    return true;
  }

  /** Rows that end below a start that was written go, at most so many: the lowest first. */
  dropRows(most: number): void {
    const starts = new Map<number, number>();
    for (const { drops = [] } of this.written) {
      for (const { queueId, startOffset } of drops) starts.set(queueId, startOffset);
    }
    const isBelow = ([key]: StoredRow): boolean => {
      const { number, queueId } = decodeKey(key);
      return number < (starts.get(queueId) ?? 0);
    };
    const below = this.#inOrder().filter(isBelow).slice(0, most);
    for (const [key] of below) this.#rows.delete(nameOf(key));
  }

  finishRead(): boolean {
    const next = this.#reads.shift();
    next?.();
    return next !== undefined;
  }

  readonly #scan: Scan = ({ from, before }, limit, onRows) => {
    const isIn = ([key]: StoredRow): boolean =>
      Buffer.compare(key, from) >= 0 && Buffer.compare(key, before) < 0;
    const found = (): readonly StoredRow[] => this.#inOrder().filter(isIn).slice(0, limit);
    const now = this.readsLate ? undefined : found();
    this.#reads.push(() => onRows(undefined, now ?? found()));
  };
  readonly #index = indexReads(this.#scan);

  indexFrom: Store['indexFrom'] = (...request) => this.#index.indexFrom(...request);

  firstIndexAtTime: Store['firstIndexAtTime'] = (queue, start, end, at, onRow) => {
    const newer = (row: IndexRow): boolean => row.storedAtMs >= at;
    this.#index.firstIndexWhere(queue, start, end, newer, onRow);
  };

  firstIndexPastBytes: Store['firstIndexPastBytes'] = (queue, start, end, bytes, onRow) => {
    const past = (row: IndexRow): boolean => row.cumulativeBytes > bytes;
    this.#index.firstIndexWhere(queue, start, end, past, onRow);
  };

  #inOrder(): StoredRow[] {
    return [...this.#rows.values()].sort(([a], [b]) => Buffer.compare(a, b));
  }
}

function nameOf(key: Uint8Array): string {
  return asBuffer(key).toString('hex');
}
