/**
 * Reads visible batches of one queue: index rows, then the entries they point at, trimmed to what
 * was asked for. Reads applied state only; who leads is the caller's question.
 */
import type { Entry, LogIndex, ShardId } from '../../raft/types.ts';
import { firstWriteOf } from '../broker/command-codec.ts';
import type { QueueId } from '../broker/commands.ts';
import type { QueueIndexRow } from '../broker/state-port.ts';
import type { FetchedBatch } from './api.ts';
import {
  type EntryTail,
  liesCloseAfter,
  readRuns,
  runsOf,
  SLICE_BYTES,
  type WantedRow,
} from './entry-reader.ts';
import { sliceMessages } from './message-slice.ts';
import type { LogReads } from './paced-reads.ts';

/** Rows looked up for a fetch; one that needs more is continued by the reader's next call. */
const ROWS_PER_READ_MAX = 4096;

/** Looked up at first: batches are often large, and few of them fill an answer. */
const ROWS_AT_FIRST = 64;

/**
 * What was half once lies in the log in another order than in its queue: far apart, every batch may
 * be a read of its own. The reader comes again for the rest, before its patience ends.
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

export interface ReadStore extends LogReads {
  /** The next read has to wait until appends are through: what was read is answered first. */
  readonly isHeldUp: boolean;
}

export type OnBatches = (error: Error | undefined, batches: readonly FetchedBatch[]) => void;

export class QueueReader {
  readonly #rows: RowSource;
  readonly #source: { readonly tail: EntryTail; readonly store: ReadStore };

  constructor(rows: RowSource, tail: EntryTail, store: ReadStore) {
    this.#rows = rows;
    this.#source = { tail, store };
  }

  /** At least one message when `offset` is in the queue; the first may exceed `maxBytes`. */
  read(request: QueueRead, onBatches: OnBatches): void {
    this.#goOn(new Gathering(request), onBatches);
  }

  #goOn(gathering: Gathering, onBatches: OnBatches): void {
    const { batches } = gathering;
    const isEnough = batches.length > 0 && gathering.isCold && this.#source.store.isHeldUp;
    if (isEnough) onBatches(undefined, batches);
    else if (gathering.wantsRows) this.#lookUp(gathering, onBatches);
    else if (gathering.isComplete) onBatches(undefined, batches);
    else this.#readNext(gathering, onBatches);
  }

  #lookUp(gathering: Gathering, onBatches: OnBatches): void {
    const { shard, queueId } = gathering.request;
    const { nextOffset, rowsToAsk } = gathering;
    this.#rows.rowsFrom(shard, queueId, nextOffset, rowsToAsk, (error, rows) => {
      if (error !== undefined) this.#fail(error, gathering, onBatches);
      else {
        gathering.addRows(rows, rowsToAsk);
        this.#goOn(gathering, onBatches);
      }
    });
  }

  #readNext(gathering: Gathering, onBatches: OnBatches): void {
    const { request } = gathering;
    const runs = runsOf(gathering.nextRows(), RUNS_PER_READ_MAX - gathering.runs);
    gathering.runs += runs.length;
    readRuns(this.#source, request.shard, runs, ({ error, found, isCold }) => {
      gathering.isCold = isCold;
      const failure = gathering.take(found);
      if (failure !== undefined) onBatches(failure, []);
      else if (error !== undefined) this.#lookAgain(error, gathering, onBatches);
      else this.#goOn(gathering, onBatches);
    });
  }

  /** A batch may have been appended again since its row was looked up, and the log have gone. */
  #lookAgain(error: Error, gathering: Gathering, onBatches: OnBatches): void {
    const row = gathering.nextRow;
    if (gathering.batches.length > 0 || row === undefined) {
      this.#fail(error, gathering, onBatches);
      return;
    }
    const { shard, queueId } = gathering.request;
    this.#rows.rowsFrom(shard, queueId, row.baseOffset, 1, (_, [found]) => {
      const isMoved = found?.baseOffset === row.baseOffset && found.index > row.index;
      if (!isMoved) this.#fail(error, gathering, onBatches);
      else this.#goOn(new Gathering(gathering.request), onBatches);
    });
  }

  /** What was read stands; the reader meets the trouble, if it lasts, at its next call. */
  #fail(error: Error, { batches }: Gathering, onBatches: OnBatches): void {
    if (batches.length > 0) onBatches(undefined, batches);
    else onBatches(error, []);
  }
}

/** The state of one read: which rows are done, what is left of the budgets. */
class Gathering {
  readonly request: QueueRead;
  readonly batches: FetchedBatch[] = [];
  readonly #rows: QueueIndexRow[] = [];
  #nextRow = 0;
  #isLastRowKnown = false;
  runs = 0;
  /** What came last was read from the log. */
  isCold = false;
  #bytesLeft: number;
  #messagesLeft: number;
  #full = false;

  constructor(request: QueueRead) {
    this.request = request;
    this.#bytesLeft = request.maxBytes;
    this.#messagesLeft = request.maxMessages || Number.MAX_SAFE_INTEGER;
  }

  get nextRow(): QueueIndexRow | undefined {
    return this.#rows[this.#nextRow];
  }

  get wantsRows(): boolean {
    if (this.#full || this.#nextRow < this.#rows.length || this.#isLastRowKnown) return false;
    return this.runs < RUNS_PER_READ_MAX && this.rowsToAsk > 0;
  }

  /** As many again as there were. */
  get rowsToAsk(): number {
    const most = Math.min(ROWS_PER_READ_MAX, this.request.maxMessages || ROWS_PER_READ_MAX);
    return Math.min(most - this.#rows.length, Math.max(ROWS_AT_FIRST, this.#rows.length));
  }

  get nextOffset(): number {
    const last = this.#rows.at(-1);
    return last === undefined ? this.request.offset : last.baseOffset + last.count;
  }

  addRows(rows: readonly QueueIndexRow[], asked: number): void {
    for (const row of rows) this.#rows.push(row);
    this.#isLastRowKnown = rows.length < asked;
  }

  get isComplete(): boolean {
    return this.#full || this.runs >= RUNS_PER_READ_MAX || this.nextRows().length === 0;
  }

  /**
   * The rows to read next. Only the first batch may be cut: a later one that is larger than what is
   * left is left for the next fetch instead of being read for it as well. How large the very first
   * is shows only when it is here.
   */
  nextRows(): WantedRow[] {
    const isStart = this.#nextRow === 0;
    const budget = Math.min(this.#bytesLeft, SLICE_BYTES);
    const { offset, maxMessages } = this.request;
    const end = maxMessages === 0 ? Number.MAX_SAFE_INTEGER : offset + maxMessages;
    const wanted: WantedRow[] = [];
    let total = 0;
    for (let at = this.#nextRow; at < this.#rows.length; at++) {
      const row = this.#rows[at]!;
      const before = this.#rows[at - 1];
      const bytes = before === undefined ? 0 : row.cumulativeBytes - before.cumulativeBytes;
      total += bytes;
      const isNext = at === this.#nextRow;
      if (row.baseOffset >= end || total > (isNext ? this.#bytesLeft : budget)) break;
      if (isStart && before !== undefined && !liesCloseAfter(before, row)) break;
      wanted.push({ row, bytes: before === undefined ? budget : bytes });
    }
    return wanted;
  }

  /** Takes entries for the next rows, in order, as far as they are there. */
  take(found: ReadonlyMap<LogIndex, Entry>): Error | undefined {
    while (!this.#full) {
      const row = this.#rows[this.#nextRow];
      const entry = row && found.get(row.index);
      if (row === undefined || entry === undefined || !this.#fits(row)) return undefined;
      if (entry.term !== row.term) {
        const where = `shard ${this.request.shard} index ${row.index}`;
        return Object.assign(new Error(`index row names term ${row.term} at ${where}`), {
          code: 'DATA_LOSS',
        });
      }
      this.#takeOne(row, entry);
    }
    return undefined;
  }

  #fits(row: QueueIndexRow): boolean {
    const before = this.#rows[this.#nextRow - 1];
    if (before === undefined) return true;
    return row.cumulativeBytes - before.cumulativeBytes <= this.#bytesLeft;
  }

  #takeOne(row: QueueIndexRow, entry: Entry): void {
    const skip = Math.max(0, this.request.offset - row.baseOffset);
    const whole = skip === 0 && entry.payload.length <= this.#bytesLeft;
    const slice =
      whole && row.count <= this.#messagesLeft
        ? { bytes: entry.payload, count: row.count }
        : sliceMessages(
            entry.payload,
            skip,
            this.#bytesLeft,
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
    this.#bytesLeft -= slice.bytes.length;
    this.#messagesLeft -= slice.count;
    this.#full = skip + slice.count < row.count || this.#bytesLeft <= 0 || this.#messagesLeft <= 0;
    this.#nextRow++;
  }
}
