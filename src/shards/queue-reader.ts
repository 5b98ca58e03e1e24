/**
 * Reads visible batches of one queue: index rows, then the entries they point at, trimmed to what
 * was asked for. Reads applied state only; who leads is the caller's question.
 */
import type { Entry, LogIndex, ShardId } from '../../raft/types.ts';
import type { KeptRun, QueueId } from '../broker/commands.ts';
import type { QueueIndexRow } from '../broker/state-port.ts';
import type { Cancellable, FetchedBatch } from './api.ts';
import {
  type EntrySource,
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
import { READING_BYTES_MAX, ReadTurns } from './read-turns.ts';
import type { VisibleMessages } from './visible-messages.ts';
import type { Leave } from './waiting-line.ts';

/** Rows looked up for a fetch; one that needs more is continued by the reader's next call. */
const ROWS_PER_READ_MAX = 4096;

/** Looked up at first: batches are often large, and few of them fill an answer. */
const ROWS_AT_FIRST = 64;

/**
 * What was half once lies in the log in another order than in its queue: far apart, every batch may
 * be a read of its own. The reader comes again for the rest, before its patience ends.
 */
const RUNS_PER_READ_MAX = 256;

/** What a row takes while it is read, about. */
const ROW_BYTES = 256;

export interface RowSource {
  /** Those from `offset` on are in memory: `rowsFrom` answers at once. */
  isRecent(queueId: QueueId, offset: number): boolean;
  rowsFrom(shard: ShardId, queueId: QueueId, offset: number, limit: number, onRows: OnRows): void;
}

export type OnRows = (error: Error | undefined, rows: readonly QueueIndexRow[]) => void;

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

export interface ReadStore {
  /** The next read has to wait until appends are through: what was read is answered first. */
  readonly isHeldUp: boolean;
  /** Who leaves in time is not called back. */
  read(...request: Parameters<LogReads['read']>): Leave;
}

export type OnBatches = (error: Error | undefined, read: ReadBatches) => void;

interface ReaderParts {
  readonly rows: RowSource;
  readonly tail: EntryTail;
  readonly store: ReadStore;
  readonly turns: ReadTurns;
}

export class QueueReader {
  readonly #parts: ReaderParts;

  constructor(
    rows: RowSource,
    tail: EntryTail,
    store: ReadStore,
    turns = new ReadTurns(READING_BYTES_MAX),
  ) {
    this.#parts = { rows, tail, store, turns };
  }

  /**
   * Once started, gets on when `offset` is in the queue, by at least one message where none is
   * hidden; the first may exceed `maxBytes`.
   */
  reading(request: QueueRead, onBatches: OnBatches): Reading {
    return new Reading(this.#parts, request, onBatches);
  }
}

/**
 * The steps of one read. What memory has is taken at once. For anything else it needs a turn, which
 * it keeps to its end; whoever has to wait for one holds nothing meanwhile, and begins anew.
 */
export class Reading implements EntrySource, Cancellable {
  readonly #parts: ReaderParts;
  readonly #request: QueueRead;
  #gathering: Gathering;
  /** undefined: nobody waits for it any more. */
  #onBatches: OnBatches | undefined;
  #turnBytes = 0;
  /** Out of where it waits. */
  #leave: Leave | undefined;

  constructor(parts: ReaderParts, request: QueueRead, onBatches: OnBatches) {
    this.#parts = parts;
    this.#request = request;
    this.#gathering = new Gathering(request);
    this.#onBatches = onBatches;
  }

  start(): void {
    this.#goOn();
  }

  /** What is under way keeps its room until it is here; nothing follows it. */
  cancel(): void {
    this.#onBatches = undefined;
    if (this.#leave?.() === true) this.#end();
  }

  get tail(): EntryTail {
    return this.#parts.tail;
  }

  read(...[shard, from, to, maxBytes, onEntries]: Parameters<LogReads['read']>): void {
    this.#inTurn(() => {
      const leave = this.#parts.store.read(shard, from, to, maxBytes, (error, entries) => {
        if (this.#isWanted()) onEntries(error, entries);
      });
      // Unless it was answered at once, and waits for the next one by now.
      this.#leave ??= leave;
    });
  }

  #goOn(): void {
    const { batches, isCold } = this.#gathering;
    const isEnough = batches.length > 0 && isCold && this.#parts.store.isHeldUp;
    if (isEnough) this.#answer();
    else if (this.#gathering.wantsRows) this.#lookUp();
    else if (this.#gathering.isComplete) this.#answer();
    else this.#readNext();
  }

  #lookUp(): void {
    const { lookedUpTo, rowsToAsk } = this.#gathering;
    this.#rowsFrom(lookedUpTo, rowsToAsk, (error, rows) => {
      if (error !== undefined) this.#fail(error);
      else {
        this.#gathering.addRows(rows, rowsToAsk);
        this.#goOn();
      }
    });
  }

  #readNext(): void {
    const gathering = this.#gathering;
    const runs = runsOf(gathering.nextRows(), RUNS_PER_READ_MAX - gathering.runs);
    gathering.runs += runs.length;
    readRuns(this, this.#request.shard, runs, ({ error, found, isCold }) => {
      gathering.isCold = isCold;
      const failure = gathering.take(found);
      if (failure !== undefined) this.#answer(failure);
      else if (error !== undefined) this.#lookAgain(error);
      else this.#goOn();
    });
  }

  /**
   * A batch may have been appended again since its row was looked up, maybe with others before it,
   * and the log have gone.
   */
  #lookAgain(error: Error): void {
    const row = this.#gathering.nextRow;
    if (this.#gathering.batches.length > 0 || row === undefined) {
      this.#fail(error);
      return;
    }
    this.#rowsFrom(row.baseOffset, 1, (_, [found]) => {
      const isMoved = found !== undefined && found.index > row.index;
      if (!isMoved || found.baseOffset > row.baseOffset) this.#fail(error);
      else {
        this.#gathering = new Gathering(this.#request);
        this.#goOn();
      }
    });
  }

  /** What was read stands; the reader meets the trouble, if it lasts, at its next call. */
  #fail(error: Error): void {
    this.#answer(this.#gathering.batches.length > 0 ? undefined : error);
  }

  #answer(error?: Error): void {
    const onBatches = this.#onBatches;
    this.#onBatches = undefined;
    onBatches?.(error, this.#gathering.read);
    this.#end();
  }

  #rowsFrom(offset: number, limit: number, onRows: OnRows): void {
    const { rows } = this.#parts;
    const { shard, queueId } = this.#request;
    if (rows.isRecent(queueId, offset)) rows.rowsFrom(shard, queueId, offset, limit, onRows);
    else {
      this.#inTurn(() =>
        rows.rowsFrom(shard, queueId, offset, limit, (error, found) => {
          if (this.#isWanted()) onRows(error, found);
        }),
      );
    }
  }

  /** Where something was read already, that is the answer, instead of a wait. */
  #inTurn(step: () => void): void {
    const { turns } = this.#parts;
    const bytes = heldBytes(this.#request);
    if (this.#turnBytes > 0) step();
    else if (turns.take(bytes)) {
      this.#turnBytes = bytes;
      step();
    } else if (this.#gathering.batches.length > 0) this.#answer();
    else {
      this.#gathering = new Gathering(this.#request);
      this.#leave = turns.wait(bytes, () => {
        this.#leave = undefined;
        this.#turnBytes = bytes;
        this.#goOn();
      });
    }
  }

  /** Asked when a step is back from the disk. */
  #isWanted(): boolean {
    this.#leave = undefined;
    if (this.#onBatches === undefined) this.#end();
    return this.#onBatches !== undefined;
  }

  #end(): void {
    const bytes = this.#turnBytes;
    this.#turnBytes = 0;
    if (bytes > 0) this.#parts.turns.giveBack(bytes);
  }
}

/** The most that a read holds, about: what is to be answered, and rows. */
function heldBytes({ maxBytes, maxMessages }: QueueRead): number {
  return maxBytes + ROW_BYTES * mostRows(maxMessages);
}

function mostRows(maxMessages: number): number {
  return Math.min(ROWS_PER_READ_MAX, maxMessages || ROWS_PER_READ_MAX);
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
    const most = mostRows(this.request.maxMessages);
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
    const last = runs.at(-1);
    let rest: Uint8Array = entry.payload;
    for (const run of runs) {
      const skip = Math.min(run.count, Math.max(0, this.#takenTo - run.offset));
      const isWhole = skip === 0 && run === last;
      const slice = this.#slice(rest, skip, run.count - skip, isWhole);
      const taken = skip + slice.count;
      if (slice.count > 0) this.#push(row, run, skip, slice);
      this.#takenTo = Math.max(this.#takenTo, run.offset + taken);
      if (taken < run.count) return false;
      // A view of nothing costs as much as all the rest does here.
      if (run !== last) rest = rest.subarray(slice.end);
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
