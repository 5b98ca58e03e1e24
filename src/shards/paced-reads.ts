/**
 * Reads of the commit log for callers, so many at a time; the rest wait here, one per fetch under
 * way at most. The log's own queue is bounded and belongs to Raft as well, which cannot go on
 * without its reads: however many consumers catch up at once, it must find room there.
 */
import { Fifo } from '../../raft/fifo.ts';
import type { LogStore } from '../../raft/ports.ts';

export type LogReads = Pick<LogStore, 'read'>;

/** Far below what the log lets wait, and more than it reads at once. */
export const READS_AT_ONCE_MAX = 64;

export class PacedReads implements LogReads {
  readonly #log: LogReads;
  readonly #waiting = new Fifo<Parameters<LogReads['read']>>();
  #underWay = 0;
  #isStarting = false;

  constructor(log: LogReads) {
    this.#log = log;
  }

  read(...request: Parameters<LogReads['read']>): void {
    this.#waiting.push(request);
    this.#startWaiting();
  }

  /** A loop and no recursion: the log may answer before `read` returns. */
  #startWaiting(): void {
    if (this.#isStarting) return;
    this.#isStarting = true;
    while (this.#underWay < READS_AT_ONCE_MAX) {
      const request = this.#waiting.shift();
      if (request === undefined) break;
      this.#start(...request);
    }
    this.#isStarting = false;
  }

  #start(...[shard, from, to, maxBytes, onEntries]: Parameters<LogReads['read']>): void {
    this.#underWay++;
    this.#log.read(shard, from, to, maxBytes, (error, entries) => {
      this.#underWay--;
      onEntries(error, entries);
      this.#startWaiting();
    });
  }
}
