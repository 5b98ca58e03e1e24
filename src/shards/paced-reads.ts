/**
 * Reads of the commit log for callers: few at a time, and while the log is being written only so
 * many bytes a flush; the rest wait here, one per fetch under way at most. However many consumers
 * catch up at once, an append finds a thread and an event loop that are busy with little else, and
 * Raft, which cannot go on without reads of its own, finds room in the log's queue. No timer: a
 * flush that ends lets the next reads go, so a slow disk or a busy node slows them down by itself.
 */
import { Fifo } from '../../raft/fifo.ts';
import type { LogStore } from '../../raft/ports.ts';

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

/** While a flush is under way no read begins any more once so much was asked for. */
export const READ_BYTES_PER_FLUSH = 256 * 1024;

/** What a read of a single entry costs beside its bytes, in bytes. */
const READ_BYTES_MIN = 16 * 1024;

export class PacedReads implements LogReads {
  readonly #log: LogReads;
  readonly #flushes: Flushes;
  readonly #waiting = new Fifo<Request>();
  #underWay = 0;
  /** Asked for since the last flush ended, while the next one was under way. */
  #bytesOfFlush = 0;
  #isStarting = false;

  constructor(log: LogReads, flushes: Flushes) {
    this.#log = log;
    this.#flushes = flushes;
    flushes.onFlushed(() => {
      this.#bytesOfFlush = 0;
      this.#startWaiting();
    });
  }

  read(...request: Request): void {
    this.#waiting.push(request);
    this.#startWaiting();
  }

  /** A read would have to wait for the end of a flush. */
  get isHeldUp(): boolean {
    return this.#flushes.isWriting && this.#bytesOfFlush >= READ_BYTES_PER_FLUSH;
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
  }

  #start(...[shard, from, to, maxBytes, onEntries]: Request): void {
    this.#underWay++;
    if (this.#flushes.isWriting) this.#bytesOfFlush += Math.max(maxBytes, READ_BYTES_MIN);
    this.#log.read(shard, from, to, maxBytes, (error, entries) => {
      this.#underWay--;
      onEntries(error, entries);
      this.#startWaiting();
    });
  }
}
