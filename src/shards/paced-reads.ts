/**
 * Reads of the commit log for callers: few at a time, and while the log is being written only so
 * many bytes a flush; the rest wait here, one per fetch under way at most. However many consumers
 * catch up at once, an append finds a thread and an event loop that are busy with little else, and
 * Raft, which cannot go on without reads of its own, finds room in the log's queue. A flush that
 * ends lets the next reads go, so a slow disk or a busy node slows them down by itself.
 */
import type { LogStore } from '../../raft/ports.ts';
import type { Entry } from '../../raft/types.ts';
import { type Leave, WaitingLine } from './waiting-line.ts';

export type LogReads = Pick<LogStore, 'read'>;

/** The writer that reads give way to. */
export interface Flushes {
  readonly isWriting: boolean;
  /** Calls back after each flush, when the next one has begun if there is one. */
  onFlushed(flushed: () => void): void;
}

type Request = Parameters<LogReads['read']>;

/** One is looked through while the next one is on its way from the disk. */
export const READS_AT_ONCE_MAX = 2;

/** Each flush lets so much be read; what one large entry takes beyond it, later ones give up. */
export const READ_BYTES_PER_FLUSH = 128 * 1024;

/**
 * The log counts as being written for so long after a flush. Under load the next one follows
 * sooner: what was read between two of them without a bound took the processors from producers.
 */
export const WRITING_LASTS_MS = 20;

/** What a read of a single entry costs beside its bytes, in bytes. */
const READ_BYTES_MIN = 16 * 1024;

export class PacedReads implements LogReads {
  readonly #log: LogReads;
  readonly #flushes: Flushes;
  readonly #waiting = new WaitingLine<Request>();
  #underWay = 0;
  /** Read while the log was being written, less what flushes have let through since. */
  #owedBytes = 0;
  #flushedAtMs = Number.NEGATIVE_INFINITY;
  #timer: NodeJS.Timeout | undefined;
  #isStarting = false;

  constructor(log: LogReads, flushes: Flushes) {
    this.#log = log;
    this.#flushes = flushes;
    flushes.onFlushed(() => {
      this.#owedBytes = Math.max(0, this.#owedBytes - READ_BYTES_PER_FLUSH);
      this.#flushedAtMs = performance.now();
      this.#startWaiting();
    });
  }

  /** Who leaves before the log is asked is not called back. */
  read(...request: Request): Leave {
    const leave = this.#waiting.push(request);
    this.#startWaiting();
    return leave;
  }

  /** A read would have to wait for the end of a flush. */
  get isHeldUp(): boolean {
    return this.#isLogWritten && this.#owedBytes >= READ_BYTES_PER_FLUSH;
  }

  get #isLogWritten(): boolean {
    return this.#flushes.isWriting || this.#quietInMs > 0;
  }

  get #quietInMs(): number {
    return this.#flushedAtMs + WRITING_LASTS_MS - performance.now();
  }

  /** A loop and no recursion: the log may answer before `read` returns. */
  #startWaiting(): void {
    if (this.#isStarting) return;
    this.#isStarting = true;
    while (this.#underWay < READS_AT_ONCE_MAX && !this.isHeldUp) {
      const request = this.#waiting.shift();
      if (request === undefined) break;
      this.#start(...request);
    }
    this.#isStarting = false;
    if (this.#waiting.size > 0 && this.#underWay < READS_AT_ONCE_MAX) this.#goOnWhenQuiet();
  }

  /** The flush that is awaited may never come. */
  #goOnWhenQuiet(): void {
    if (this.#timer !== undefined || this.#flushes.isWriting) return;
    this.#timer = setTimeout(
      () => {
        this.#timer = undefined;
        this.#startWaiting();
      },
      Math.max(1, Math.ceil(this.#quietInMs)),
    );
  }

  #start(...[shard, from, to, maxBytes, onEntries]: Request): void {
    this.#underWay++;
    this.#log.read(shard, from, to, maxBytes, (error, entries) => {
      this.#underWay--;
      if (this.#isLogWritten) this.#owedBytes += costBytes(entries);
      onEntries(error, entries);
      this.#startWaiting();
    });
  }
}

/** The first entry of a read may be larger than what was asked for. */
function costBytes(entries: readonly Entry[]): number {
  const bytes = entries.reduce((sum, { payload }) => sum + payload.length, 0);
  return Math.max(READ_BYTES_MIN, bytes);
}
