/**
 * Reads of a queue's index: batches by offset, and the first batch for which something holds that
 * never stops holding along the queue (newer than a time, past so many bytes).
 */
import type { ShardId } from '../raft/types.ts';
import { StorageError } from './errors.ts';
import { overlaid } from './index-overlay.ts';
import { decodeKey, indexRange, type KeyRange } from './keys.ts';
import { decodeIndexBody, type IndexRow, lastOffsetOf, unseal } from './row-codec.ts';

/** The first row is not there; also seen while rows of a queue or of a shard are removed. */
export class MissingRowError extends StorageError {}

export type StoredRow = readonly [key: Uint8Array, value: Uint8Array];
export type OnStoredRows = (error: Error | undefined, rows: readonly StoredRow[]) => void;
export type OnIndexRows = (error: Error | undefined, rows: readonly IndexRow[]) => void;
export type OnIndexRow = (error: Error | undefined, row: IndexRow | undefined) => void;

/** Ascending, at most `limit`; fewer only at the end of the range. */
export type Scan = (range: KeyRange, limit: number, onRows: OnStoredRows) => void;

export interface QueueIndex {
  readonly shard: ShardId;
  readonly queueId: number;
  /** What LevelDB may not hold yet (index-overlay.ts): all such rows, as the read begins. */
  readonly moved: readonly IndexRow[];
}

export interface IndexReads {
  /**
   * The row that holds `offset` and those after it: ascending, dense. At most `limit`; fewer also
   * where several in LevelDB are one by now.
   */
  indexFrom(queue: QueueIndex, offset: number, limit: number, onRows: OnIndexRows): void;
  /** First row between the offsets for which `holds`; needs O(log n) seeks. */
  firstIndexWhere(
    queue: QueueIndex,
    startOffset: number,
    endOffset: number,
    holds: (row: IndexRow) => boolean,
    onRow: OnIndexRow,
  ): void;
}

export function indexReads(scan: Scan): IndexReads {
  return {
    indexFrom(queue, offset, limit, onRows) {
      scan(indexRange(queue.shard, queue.queueId, offset), limit, (error, stored) => {
        if (error !== undefined) return onRows(error, []);
        const rows = tryDecode(queue, offset, limit, stored);
        if (rows instanceof Error) onRows(rows, []);
        else onRows(undefined, rows);
      });
    },
    firstIndexWhere(queue, startOffset, endOffset, holds, onRow) {
      new Search(scan, queue, holds, onRow).narrow(startOffset, endOffset);
    },
  };
}

export function decodeIndexRow([key, value]: StoredRow): IndexRow {
  const { queueId, number } = decodeKey(key);
  return decodeIndexBody(queueId, number, unseal(key, value));
}

function tryDecode(
  queue: QueueIndex,
  offset: number,
  limit: number,
  stored: readonly StoredRow[],
): readonly IndexRow[] | Error {
  try {
    const rows = stored.map(decodeIndexRow);
    return denseRows(queue, offset, overlaid(rows, queue.moved, offset, limit));
  } catch (error) {
    return error as Error;
  }
}

function denseRows(
  { moved, queueId }: QueueIndex,
  offset: number,
  rows: readonly IndexRow[],
): readonly IndexRow[] | Error {
  let next = offset;
  for (const [at, row] of rows.entries()) {
    const what = `index of queue ${queueId} lacks ${next}`;
    if (at === 0 && row.baseOffset > next) return new MissingRowError('DATA_LOSS', what);
    if (at > 0 && row.baseOffset !== next) {
      // Those behind one that is not written yet may have been removed while they were looked for.
      if (moved.includes(rows[at - 1]!) || moved.includes(row)) return rows.slice(0, at);
      // Rows are written and removed in their order, so none but damage takes one from between.
      return new StorageError('DATA_LOSS', what);
    }
    next = lastOffsetOf(row) + 1;
  }
  return rows;
}

class Search {
  readonly #scan: Scan;
  readonly #queue: QueueIndex;
  readonly #holds: (row: IndexRow) => boolean;
  readonly #onRow: OnIndexRow;
  #found: IndexRow | undefined;

  constructor(scan: Scan, queue: QueueIndex, holds: (row: IndexRow) => boolean, onRow: OnIndexRow) {
    this.#scan = scan;
    this.#queue = queue;
    this.#holds = holds;
    this.#onRow = onRow;
  }

  /** Rows that end below `low` do not hold; from `high` on, `#found` is the first that does. */
  narrow(low: number, high: number): void {
    if (low >= high) {
      this.#onRow(undefined, this.#found);
      return;
    }
    const middle = low + Math.floor((high - low) / 2);
    this.#scan(indexRange(this.#queue.shard, this.#queue.queueId, middle), 1, (error, rows) => {
      if (error !== undefined) this.#onRow(error, undefined);
      else this.#look(low, middle, high, rows);
    });
  }

  #look(low: number, middle: number, high: number, stored: readonly StoredRow[]): void {
    let row: IndexRow | undefined;
    try {
      [row] = overlaid(stored.map(decodeIndexRow), this.#queue.moved, middle, 1);
    } catch (error) {
      this.#onRow(error as Error, undefined);
      return;
    }
    if (row === undefined || row.baseOffset >= high) this.narrow(low, middle);
    else if (this.#holds(row)) {
      this.#found = row;
      this.narrow(low, Math.min(middle, row.baseOffset));
    } else this.narrow(lastOffsetOf(row) + 1, high);
  }
}
