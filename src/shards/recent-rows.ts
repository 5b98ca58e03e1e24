/**
 * The newest index rows of each queue, in memory: all that LevelDB does not hold yet, and some that
 * it does, so that consumers near the end of a queue never go to the disk for its index.
 */
import { strict as assert } from 'node:assert';
import type { ShardId } from '../../raft/types.ts';
import type { QueueId } from '../broker/commands.ts';
import type { QueueIndexRow } from '../broker/state-port.ts';

export interface RecentRowsOptions {
  /** Rows per queue that are kept although LevelDB has them. */
  readonly maxRowsPerQueue: number;
  /** The same over all queues; those that were quiet longest give theirs up first. */
  readonly maxRows: number;
}

export const RECENT_ROWS_DEFAULTS: RecentRowsOptions = Object.freeze({
  maxRowsPerQueue: 1024,
  maxRows: 128 * 1024,
});

/** Quiet queues looked at per append when there are too many rows. */
const QUEUES_SHRUNK_MAX = 4;
/** Evicted slots of a queue's array before it is copied. */
const COMPACT_AT = 1024;

/** Rows of one queue: dense, ascending. */
export class QueueTail {
  readonly shard: ShardId;
  #rows: QueueIndexRow[] = [];
  #head = 0;
  /** Rows that end below this offset are in LevelDB. */
  #readableBefore = 0;
  #startOffset = 0;

  constructor(shard: ShardId) {
    this.shard = shard;
  }

  get size(): number {
    return this.#rows.length - this.#head;
  }

  get first(): QueueIndexRow | undefined {
    return this.#rows[this.#head];
  }

  /** Highest offset below which rows were dropped. */
  get startOffset(): number {
    return this.#startOffset;
  }

  get isAllReadable(): boolean {
    const last = this.#rows.at(-1);
    return this.size === 0 || last === undefined || endOf(last) <= this.#readableBefore;
  }

  append(row: QueueIndexRow): void {
    const last = this.#rows.at(-1);
    assert(
      last === undefined || row.baseOffset === endOf(last),
      `queue ${row.queueId}: row at ${row.baseOffset} does not follow`,
    );
    this.#rows.push(row);
  }

  /**
   * The row takes the place of those within it, as far as they are here: where only its end is, it
   * comes first. Returns how many rows fewer there are.
   */
  move(row: QueueIndexRow): number {
    const from = this.#firstAt((one) => endOf(one) > row.baseOffset);
    const before = this.#firstAt((one) => one.baseOffset >= endOf(row));
    const parts = this.#rows.slice(from, before);
    const [first, last] = [parts[0], parts.at(-1)];
    if (first === undefined || last === undefined) return 0;
    const isWhole = first.baseOffset >= row.baseOffset && endOf(last) === endOf(row);
    assert(isWhole, `queue ${row.queueId}: row at ${row.baseOffset} cuts others in two`);
    this.#rows.splice(from, parts.length, row);
    return parts.length - 1;
  }

  covers(offset: number): boolean {
    return this.first !== undefined && this.first.baseOffset <= offset;
  }

  /** Up to `limit` rows from the one that holds `offset`, which must be covered. */
  from(offset: number, limit: number): readonly QueueIndexRow[] {
    const at = this.#firstAt((row) => endOf(row) > offset);
    return this.#rows.slice(at, at + limit);
  }

  /** First row for which `holds`, which never stops holding along the queue. */
  firstWhere(holds: (row: QueueIndexRow) => boolean): QueueIndexRow | undefined {
    return this.#rows[this.#firstAt(holds)];
  }

  readable(beforeOffset: number): void {
    this.#readableBefore = Math.max(this.#readableBefore, beforeOffset);
  }

  /** Forgets readable rows until at most `keep` are left; returns how many went. */
  shrink(keep: number): number {
    return this.#evict((size) => size > keep);
  }

  raiseStart(startOffset: number): number {
    this.#startOffset = Math.max(this.#startOffset, startOffset);
    return this.#evict((_, row) => endOf(row) <= startOffset);
  }

  #evict(wanted: (size: number, row: QueueIndexRow) => boolean): number {
    const before = this.#head;
    for (let row = this.first; row !== undefined; row = this.first) {
      if (endOf(row) > this.#readableBefore || !wanted(this.size, row)) break;
      this.#head++;
    }
    const evicted = this.#head - before;
    // The last row stays in the array's memory at most; what is dense stays dense.
    if (this.#head >= COMPACT_AT || this.size === 0) {
      this.#rows = this.#rows.slice(this.#head);
      this.#head = 0;
    }
    return evicted;
  }

  #firstAt(holds: (row: QueueIndexRow) => boolean): number {
    let [low, high] = [this.#head, this.#rows.length];
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (holds(this.#rows[middle] as QueueIndexRow)) high = middle;
      else low = middle + 1;
    }
    return low;
  }
}

function endOf(row: QueueIndexRow): number {
  return row.baseOffset + row.count;
}

export class RecentRows {
  readonly #options: RecentRowsOptions;
  /** Quiet longest first. One per queue of this node that changed since the start. */
  readonly #tails = new Map<QueueId, QueueTail>();
  #rowCount = 0;

  constructor(options: RecentRowsOptions) {
    this.#options = options;
  }

  get rowCount(): number {
    return this.#rowCount;
  }

  tail(queueId: QueueId): QueueTail | undefined {
    return this.#tails.get(queueId);
  }

  append(shard: ShardId, row: QueueIndexRow): void {
    const tail = this.#tails.get(row.queueId) ?? new QueueTail(shard);
    tail.append(row);
    this.#tails.delete(row.queueId);
    this.#tails.set(row.queueId, tail);
    this.#rowCount++;
    if (this.#rowCount > this.#options.maxRows) this.#shrinkQuiet();
  }

  move(row: QueueIndexRow): void {
    this.#rowCount -= this.#tails.get(row.queueId)?.move(row) ?? 0;
  }

  /** LevelDB holds the row, and so everything before it. */
  readable(row: QueueIndexRow): void {
    const tail = this.#tails.get(row.queueId);
    if (tail === undefined) return;
    tail.readable(endOf(row));
    if (tail.size > this.#options.maxRowsPerQueue) {
      this.#rowCount -= tail.shrink(this.#options.maxRowsPerQueue);
    }
    this.#forgetClosed(row.queueId, tail);
  }

  /** `Number.MAX_SAFE_INTEGER` = the queue is closed. */
  dropBelow(shard: ShardId, queueId: QueueId, startOffset: number): void {
    const tail = this.#tails.get(queueId) ?? new QueueTail(shard);
    this.#tails.set(queueId, tail);
    this.#rowCount -= tail.raiseStart(startOffset);
    this.#forgetClosed(queueId, tail);
  }

  /** Another state takes the place of the one that these rows are of. */
  forgetShard(shard: ShardId): void {
    for (const [queueId, tail] of this.#tails) {
      if (tail.shard !== shard) continue;
      this.#rowCount -= tail.size;
      this.#tails.delete(queueId);
    }
  }

  #forgetClosed(queueId: QueueId, tail: QueueTail): void {
    if (tail.startOffset < Number.MAX_SAFE_INTEGER || !tail.isAllReadable) return;
    this.#rowCount -= tail.size;
    this.#tails.delete(queueId);
  }

  #shrinkQuiet(): void {
    let looked = 0;
    for (const [queueId, tail] of this.#tails) {
      if (looked++ === QUEUES_SHRUNK_MAX) return;
      const evicted = tail.shrink(0);
      this.#rowCount -= evicted;
      // To the back, so that the next call does not look at it again in vain.
      this.#tails.delete(queueId);
      this.#tails.set(queueId, tail);
      if (this.#rowCount <= this.#options.maxRows) return;
    }
  }
}
