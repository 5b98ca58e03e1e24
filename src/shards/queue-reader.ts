/**
 * Reads visible batches of one queue: index rows, then the entries they point at, trimmed to what
 * was asked for. Reads applied state only; who leads is the caller's question.
 */
import type { Entry, ShardId } from '../../raft/types.ts';
import { firstWriteOf } from '../broker/command-codec.ts';
import type { QueueId } from '../broker/commands.ts';
import type { QueueIndexRow } from '../broker/state-port.ts';
import type { FetchedBatch } from './api.ts';
import { type EntryTail, readRun } from './entry-reader.ts';
import { sliceMessages } from './message-slice.ts';
import type { LogReads } from './paced-reads.ts';

/** Rows looked up at a time; a fetch that needs more is continued by the reader's next call. */
const ROWS_PER_READ_MAX = 4096;

/**
 * What was half once lies in the log in another order than in its queue: then every batch may be a
 * read of its own. The reader comes again for the rest, before its patience ends.
 */
const RUNS_PER_READ_MAX = 256;

export interface RowSource {
  rowsFrom(
    shard: ShardId,
    queueId: QueueId,
    offset: number,
    limit: number,
    onRows: (error: Error | undefined, rows: readonly QueueIndexRow[]) => void,
  ): void;
}

export interface QueueRead {
  readonly shard: ShardId;
  readonly queueId: QueueId;
  readonly offset: number;
  readonly maxBytes: number;
  readonly maxMessages: number;
}

export type OnBatches = (error: Error | undefined, batches: readonly FetchedBatch[]) => void;

export class QueueReader {
  readonly #rows: RowSource;
  readonly #tail: EntryTail;
  readonly #store: LogReads;

  constructor(rows: RowSource, tail: EntryTail, store: LogReads) {
    this.#rows = rows;
    this.#tail = tail;
    this.#store = store;
  }

  /** At least one message when `offset` is in the queue; the first may exceed `maxBytes`. */
  read(request: QueueRead, onBatches: OnBatches): void {
    const limit = Math.min(ROWS_PER_READ_MAX, request.maxMessages || ROWS_PER_READ_MAX);
    const { shard, queueId, offset } = request;
    this.#rows.rowsFrom(shard, queueId, offset, limit, (error, rows) => {
      if (error !== undefined) onBatches(error, []);
      else this.#readRows(new Gathering(request, wanted(request, rows)), onBatches);
    });
  }

  #readRows(gathering: Gathering, onBatches: OnBatches): void {
    if (gathering.complete || gathering.runs === RUNS_PER_READ_MAX) {
      onBatches(undefined, gathering.batches);
      return;
    }
    const { shard } = gathering.request;
    const at = gathering.nextRow;
    const budget = gathering.bytesLeft;
    gathering.runs++;
    readRun(this.#tail, this.#store, shard, gathering.rows, at, budget, (error, entries) => {
      if (error === undefined && entries.length > 0) {
        const failure = gathering.take(entries);
        if (failure === undefined) this.#readRows(gathering, onBatches);
        else onBatches(failure, []);
      } else if (gathering.batches.length > 0) {
        // What was read stands; the reader meets the trouble, if it lasts, at its next call.
        onBatches(undefined, gathering.batches);
      } else {
        onBatches(error ?? new Error(`no entry for row at ${gathering.request.offset}`), []);
      }
    });
  }
}

/** Rows that `maxMessages` reaches: the rest is not read from the disk. */
function wanted(request: QueueRead, rows: readonly QueueIndexRow[]): readonly QueueIndexRow[] {
  if (request.maxMessages === 0) return rows;
  const end = request.offset + request.maxMessages;
  const beyond = rows.findIndex((row) => row.baseOffset >= end);
  return beyond === -1 ? rows : rows.slice(0, beyond);
}

/** The state of one read: which rows are done, what is left of the budgets. */
class Gathering {
  readonly request: QueueRead;
  readonly rows: readonly QueueIndexRow[];
  readonly batches: FetchedBatch[] = [];
  nextRow = 0;
  runs = 0;
  bytesLeft: number;
  #messagesLeft: number;
  #full = false;

  constructor(request: QueueRead, rows: readonly QueueIndexRow[]) {
    this.request = request;
    this.rows = rows;
    this.bytesLeft = request.maxBytes;
    this.#messagesLeft = request.maxMessages || Number.MAX_SAFE_INTEGER;
  }

  get complete(): boolean {
    return this.#full || this.nextRow >= this.rows.length || !this.#nextFits;
  }

  /**
   * Only the first batch may be cut: a later one that is larger than what is left is left for the
   * next fetch instead of being read for it as well.
   */
  get #nextFits(): boolean {
    if (this.batches.length === 0) return true;
    const before = this.rows[this.nextRow - 1];
    const next = this.rows[this.nextRow];
    if (before === undefined || next === undefined) return true;
    return next.cumulativeBytes - before.cumulativeBytes <= this.bytesLeft;
  }

  /** Takes entries for the next rows, in order. */
  take(entries: readonly Entry[]): Error | undefined {
    for (const entry of entries) {
      const row = this.rows[this.nextRow];
      if (row === undefined || this.complete) return undefined;
      if (entry.index !== row.index || entry.term !== row.term) {
        const where = `shard ${this.request.shard} index ${row.index}`;
        return Object.assign(new Error(`index row names term ${row.term} at ${where}`), {
          code: 'DATA_LOSS',
        });
      }
      this.#takeOne(row, entry);
    }
    return undefined;
  }

  #takeOne(row: QueueIndexRow, entry: Entry): void {
    const skip = Math.max(0, this.request.offset - row.baseOffset);
    const whole = skip === 0 && entry.payload.length <= this.bytesLeft;
    const slice =
      whole && row.count <= this.#messagesLeft
        ? { bytes: entry.payload, count: row.count }
        : sliceMessages(
            entry.payload,
            skip,
            this.bytesLeft,
            this.#messagesLeft,
            this.batches.length === 0,
          );
    if (slice.count > 0) {
      this.batches.push({
        baseOffset: row.baseOffset + skip,
        count: slice.count,
        row,
        messages: slice.bytes,
        firstIndex: firstWriteOf(entry),
        firstPosition: skip,
      });
    }
    this.bytesLeft -= slice.bytes.length;
    this.#messagesLeft -= slice.count;
    this.#full = skip + slice.count < row.count || this.bytesLeft <= 0 || this.#messagesLeft <= 0;
    this.nextRow++;
  }
}
