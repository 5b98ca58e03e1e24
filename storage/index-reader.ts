/**
 * Reads of a queue's index: batches by offset, and the first batch for which something holds that
 * never stops holding along the queue (newer than a time, past so many bytes).
 */
import type { ShardId } from '../raft/types.ts';
import { StorageError } from './errors.ts';
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

export interface IndexReads {
  /** The row that holds `offset` and those after it: ascending, dense. */
  indexFrom(
    shard: ShardId,
    queueId: number,
    offset: number,
    limit: number,
    onRows: OnIndexRows,
  ): void;
  /** First row between the offsets for which `holds`; needs O(log n) seeks. */
  firstIndexWhere(
    shard: ShardId,
    queueId: number,
    startOffset: number,
    endOffset: number,
    holds: (row: IndexRow) => boolean,
    onRow: OnIndexRow,
  ): void;
}

export function indexReads(scan: Scan): IndexReads {
  return {
    indexFrom(shard, queueId, offset, limit, onRows) {
      scan(indexRange(shard, queueId, offset), limit, (error, stored) => {
        if (error !== undefined) return onRows(error, []);
        const rows = tryDecode(queueId, offset, stored);
        if (rows instanceof Error) onRows(rows, []);
        else onRows(undefined, rows);
      });
    },
    firstIndexWhere(shard, queueId, startOffset, endOffset, holds, onRow) {
      new Search(scan, shard, queueId, holds, onRow).narrow(startOffset, endOffset);
    },
  };
}

export function decodeIndexRow([key, value]: StoredRow): IndexRow {
  const { queueId, number } = decodeKey(key);
  return decodeIndexBody(queueId, number, unseal(key, value));
}

function tryDecode(
  queueId: number,
  offset: number,
  stored: readonly StoredRow[],
): readonly IndexRow[] | Error {
  try {
    const rows = stored.map(decodeIndexRow);
    let next = offset;
    for (const row of rows) {
      const what = `index of queue ${queueId} lacks ${next}`;
      if (next === offset && row.baseOffset > next) return new MissingRowError('DATA_LOSS', what);
      // Rows are written and removed in their order, so none but damage takes one from between.
      if (next !== offset && row.baseOffset !== next) return new StorageError('DATA_LOSS', what);
      next = lastOffsetOf(row) + 1;
    }
    return rows;
  } catch (error) {
    return error as Error;
  }
}

class Search {
  readonly #scan: Scan;
  readonly #shard: ShardId;
  readonly #queueId: number;
  readonly #holds: (row: IndexRow) => boolean;
  readonly #onRow: OnIndexRow;
  #found: IndexRow | undefined;

  constructor(
    scan: Scan,
    shard: ShardId,
    queueId: number,
    holds: (row: IndexRow) => boolean,
    onRow: OnIndexRow,
  ) {
    this.#scan = scan;
    this.#shard = shard;
    this.#queueId = queueId;
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
    this.#scan(indexRange(this.#shard, this.#queueId, middle), 1, (error, rows) => {
      if (error !== undefined) this.#onRow(error, undefined);
      else this.#look(low, middle, high, rows[0]);
    });
  }

  #look(low: number, middle: number, high: number, stored: StoredRow | undefined): void {
    let row: IndexRow | undefined;
    try {
      row = stored === undefined ? undefined : decodeIndexRow(stored);
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
