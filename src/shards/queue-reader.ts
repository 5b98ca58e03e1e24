/**
 * Reads visible batches of one queue: index rows, then the entries they point at, trimmed to what
 * was asked for. Reads applied state only; who leads is the caller's question.
 */
import type { Entry, LogIndex, ShardId } from '../../raft/types.ts';
import type { KeptRun, QueueId } from '../broker/commands.ts';
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
import { keptRuns } from './kept-messages.ts';
import type { ReadBatches } from './matching-messages.ts';
import { type MessageSlice, sliceMessages } from './message-slice.ts';
import type { LogReads } from './paced-reads.ts';
import type { VisibleMessages } from './visible-messages.ts';

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
  /**
   * Of a compacted queue: rows of which nothing is shown any more are passed over unread. What is
   * read may hold less than its row says, and may hide more.
   */
  readonly visible?: VisibleMessages | undefined;
}

export interface ReadStore extends LogReads {
  /** The next read has to wait until appends are through: what was read is answered first. */
  readonly isHeldUp: boolean;
}

export type OnBatches = (error: Error | undefined, read: ReadBatches) => void;

export class QueueReader {
  readonly #rows: RowSource;
  readonly #source: { readonly tail: EntryTail; readonly store: ReadStore };

  constructor(rows: RowSource, tail: EntryTail, store: ReadStore) {
    this.#rows = rows;
    this.#source = { tail, store };
  }

  /**
   * Gets on when `offset` is in the queue, by at least one message where none is hidden; the first
   * may exceed `maxBytes`.
   */
  read(request: QueueRead, onBatches: OnBatches): void {
    this.#goOn(new Gathering(request), onBatches);
  }

  #goOn(gathering: Gathering, onBatches: OnBatches): void {
    const { batches, isCold } = gathering;
    const isEnough = batches.length > 0 && isCold && this.#source.store.isHeldUp;
    if (isEnough) onBatches(undefined, gathering.read);
    else if (gathering.wantsRows) this.#lookUp(gathering, onBatches);
    else if (gathering.isComplete) onBatches(undefined, gathering.read);
    else this.#readNext(gathering, onBatches);
  }

  #lookUp(gathering: Gathering, onBatches: OnBatches): void {
    const { shard, queueId } = gathering.request;
    const { lookedUpTo, rowsToAsk } = gathering;
    this.#rows.rowsFrom(shard, queueId, lookedUpTo, rowsToAsk, (error, rows) => {
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
      if (failure !== undefined) onBatches(failure, gathering.read);
      else if (error !== undefined) this.#lookAgain(error, gathering, onBatches);
      else this.#goOn(gathering, onBatches);
    });
  }

  /**
   * A batch may have been appended again since its row was looked up, maybe with others before it,
   * and the log have gone.
   */
  #lookAgain(error: Error, gathering: Gathering, onBatches: OnBatches): void {
    const row = gathering.nextRow;
    if (gathering.batches.length > 0 || row === undefined) {
      this.#fail(error, gathering, onBatches);
      return;
    }
    const { shard, queueId } = gathering.request;
    this.#rows.rowsFrom(shard, queueId, row.baseOffset, 1, (_, [found]) => {
      const isMoved = found !== undefined && found.index > row.index;
      if (!isMoved || found.baseOffset > row.baseOffset) this.#fail(error, gathering, onBatches);
      else this.#goOn(new Gathering(gathering.request), onBatches);
    });
  }

  /** What was read stands; the reader meets the trouble, if it lasts, at its next call. */
  #fail(error: Error, gathering: Gathering, onBatches: OnBatches): void {
    onBatches(gathering.batches.length > 0 ? undefined : error, gathering.read);
  }
}

/** The state of one read: which rows are done, what is left of the budgets. */
class Gathering {
  readonly request: QueueRead;
  readonly batches: FetchedBatch[] = [];
  /** Those to be read. */
  readonly #rows: QueueIndexRow[] = [];
  #nextRow = 0;
  #rowsLookedUp = 0;
  #isLastRowKnown = false;
  /** The rows before are known. */
  lookedUpTo: number;
  runs = 0;
  /** What came last was read from the log. */
  isCold = false;
  #bytesLeft: number;
  #messagesLeft: number;
  #full = false;
  /** What lies before was taken. */
  #takenTo: number;

  constructor(request: QueueRead) {
    this.request = request;
    this.lookedUpTo = request.offset;
    this.#takenTo = request.offset;
    this.#bytesLeft = request.maxBytes;
    this.#messagesLeft = request.maxMessages || Number.MAX_SAFE_INTEGER;
  }

  get nextRow(): QueueIndexRow | undefined {
    return this.#rows[this.#nextRow];
  }

  get read(): ReadBatches {
    const unread = this.nextRow?.baseOffset ?? this.lookedUpTo;
    return { batches: this.batches, nextOffset: Math.max(this.#takenTo, unread) };
  }

  get wantsRows(): boolean {
    if (this.#full || this.#nextRow < this.#rows.length || this.#isLastRowKnown) return false;
    return this.runs < RUNS_PER_READ_MAX && this.rowsToAsk > 0;
  }

  /** As many again as there were. */
  get rowsToAsk(): number {
    const most = Math.min(ROWS_PER_READ_MAX, this.request.maxMessages || ROWS_PER_READ_MAX);
    const known = this.#rowsLookedUp;
    return Math.min(most - known, Math.max(ROWS_AT_FIRST, known));
  }

  addRows(rows: readonly QueueIndexRow[], asked: number): void {
    const { visible } = this.request;
    for (const row of rows) {
      if (visible?.isGone(row) !== true) this.#rows.push(row);
      this.lookedUpTo = endOf(row);
    }
    this.#rowsLookedUp += rows.length;
    this.#isLastRowKnown = rows.length < asked;
  }

  get isComplete(): boolean {
    return this.#full || this.runs >= RUNS_PER_READ_MAX || this.nextRows().length === 0;
  }

  /**
   * The rows to read next. Only the first batch may be cut: a later one that is larger than what is
   * left is left for the next fetch instead of being read for it as well. How large the very first
   * is shows only when it is here. What compaction left of a row may be little of what its bytes
   * say: the next row of such a queue is never left unread for its size. Until there is a batch,
   * the next row is the lowest in the log of those that are read: if one has gone, it has.
   */
  nextRows(): WantedRow[] {
    const isStart = this.batches.length === 0;
    const budget = Math.min(this.#bytesLeft, SLICE_BYTES);
    const isCompacted = this.request.visible !== undefined;
    const wanted: WantedRow[] = [];
    let total = 0;
    let messages = 0;
    for (let at = this.#nextRow; at < this.#rows.length; at++) {
      const row = this.#rows[at]!;
      const before = this.#rows[at - 1];
      const isNext = at === this.#nextRow;
      const once = before === undefined ? 0 : row.cumulativeBytes - before.cumulativeBytes;
      const bytes = isNext && isCompacted ? Math.min(once, budget) : once;
      total += bytes;
      if (messages >= this.#messagesLeft || total > (isNext ? this.#bytesLeft : budget)) break;
      if (isStart && !isNext && !liesCloseAfter(before!, row)) break;
      wanted.push({ row, bytes: before === undefined ? budget : bytes });
      messages += endOf(row) - Math.max(row.baseOffset, this.#takenTo);
    }
    return wanted;
  }

  /** Takes entries for the next rows, in order, as far as they are there. */
  take(found: ReadonlyMap<LogIndex, Entry>): Error | undefined {
    while (!this.#full) {
      const row = this.nextRow;
      const entry = row && found.get(row.index);
      if (row === undefined || entry === undefined) return undefined;
      if (entry.term !== row.term) {
        const where = `shard ${this.request.shard} index ${row.index}`;
        return Object.assign(new Error(`index row names term ${row.term} at ${where}`), {
          code: 'DATA_LOSS',
        });
      }
      const fits = this.batches.length === 0 || entry.payload.length <= this.#bytesLeft;
      this.#full = !fits || !this.#takeAll(row, entry);
    }
    return undefined;
  }

  /** False: the budgets end with it, or within it. */
  #takeAll(row: QueueIndexRow, entry: Entry): boolean {
    const runs = keptRuns(row, entry);
    let rest: Uint8Array = entry.payload;
    for (const run of runs) {
      const skip = Math.min(run.count, Math.max(0, this.#takenTo - run.offset));
      const isWhole = skip === 0 && run === runs.at(-1);
      const slice = this.#slice(rest, skip, run.count - skip, isWhole);
      const taken = skip + slice.count;
      if (slice.count > 0) this.#push(row, run, skip, slice);
      this.#takenTo = Math.max(this.#takenTo, run.offset + taken);
      if (taken < run.count) return false;
      rest = rest.subarray(slice.end);
    }
    this.#nextRow++;
    return this.#bytesLeft > 0 && this.#messagesLeft > 0;
  }

  /** What is whole, to its end, is not walked through when all of it fits. */
  #slice(messages: Uint8Array, skip: number, count: number, isWhole: boolean): MessageSlice {
    const end = messages.length;
    const fits = end <= this.#bytesLeft && count <= this.#messagesLeft;
    if (isWhole && fits) return { bytes: messages, count, end };
    const most = Math.min(count, this.#messagesLeft);
    return sliceMessages(messages, skip, this.#bytesLeft, most, this.batches.length === 0);
  }

  #push(row: QueueIndexRow, run: KeptRun, skip: number, { bytes, count }: MessageSlice): void {
    const { firstIndex, firstPosition, offset, storedAtMs } = run;
    this.batches.push({
      baseOffset: offset + skip,
      count,
      row: storedAtMs === row.storedAtMs ? row : { ...row, storedAtMs },
      messages: bytes,
      firstIndex,
      firstPosition: firstPosition + skip,
    });
    this.#bytesLeft -= bytes.length;
    this.#messagesLeft -= count;
  }
}

function endOf({ baseOffset, count }: QueueIndexRow): number {
  return baseOffset + count;
}
