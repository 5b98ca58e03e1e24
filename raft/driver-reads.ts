/** Reads on their way: waiting for their quorum round, then for apply. */
import { strict as assert } from 'node:assert';
import type { ReadDone, ReadOutcome } from './driver-types.ts';
import { Fifo } from './fifo.ts';
import type { LogIndex } from './types.ts';

interface ConfirmedWaiter {
  readonly index: LogIndex;
  readonly done: ReadDone;
}

export class ReadWaiters {
  #nextId = 1;
  readonly #unconfirmed = new Map<number, ReadDone>();
  /** Confirmed in the order of their rounds, so read indexes never fall along the queue. */
  readonly #confirmed = new Fifo<ConfirmedWaiter>();

  get size(): number {
    return this.#unconfirmed.size + this.#confirmed.size;
  }

  /** The id that the core is to use for the read that `add` will store. */
  get nextId(): number {
    return this.#nextId;
  }

  add(done: ReadDone): void {
    this.#unconfirmed.set(this.#nextId++, done);
  }

  confirmed(id: number, index: LogIndex): void {
    const done = this.#unconfirmed.get(id);
    assert(done !== undefined, 'the core confirms each read once');
    this.#unconfirmed.delete(id);
    this.#confirmed.push({ index, done });
  }

  failed(id: number, outcome: ReadOutcome): void {
    const done = this.#unconfirmed.get(id);
    assert(done !== undefined, 'the core fails only reads that it accepted');
    this.#unconfirmed.delete(id);
    done(outcome);
  }

  applied(through: LogIndex): void {
    for (let head = this.#confirmed.peek(); head !== undefined; head = this.#confirmed.peek()) {
      if (head.index > through) return;
      this.#confirmed.shift();
      head.done({ status: 'ok', index: head.index });
    }
  }

  abandonAll(outcome: ReadOutcome): void {
    const waiting = [...this.#unconfirmed.values()];
    this.#unconfirmed.clear();
    for (const done of waiting) done(outcome);
    for (let head = this.#confirmed.shift(); head !== undefined; head = this.#confirmed.shift()) {
      head.done(outcome);
    }
  }
}
