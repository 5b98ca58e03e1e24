/**
 * Proposers that wait for their entry, keyed by (term, index) (internals rule 12). Indexes only
 * grow while one replica leads, so each level is a queue and nothing is searched. Bounded by
 * `maxUncommittedEntries`: a proposal that waits is an entry that is not applied.
 */
import { strict as assert } from 'node:assert';
import type { ProposalDone, ProposalLevel } from './driver-types.ts';
import { Fifo } from './fifo.ts';
import type { Entry, LogIndex, Term } from './types.ts';

interface ProposalWaiter {
  readonly index: LogIndex;
  readonly term: Term;
  readonly done: ProposalDone;
}

export class ProposalWaiters {
  readonly #applied = new Fifo<ProposalWaiter>();
  readonly #majority = new Fifo<ProposalWaiter>();
  readonly #leader = new Fifo<ProposalWaiter>();

  get size(): number {
    return this.#applied.size + this.#majority.size + this.#leader.size;
  }

  add(level: ProposalLevel, entry: Entry, done: ProposalDone): void {
    const waiter = { index: entry.index, term: entry.term, done };
    if (level === 'majorityFsync') this.#applied.push(waiter);
    else if (level === 'majority') this.#majority.push(waiter);
    else this.#leader.push(waiter);
  }

  get hasWeaker(): boolean {
    return this.#majority.size + this.#leader.size > 0;
  }

  isWaitedFor(index: LogIndex): boolean {
    return this.#applied.peek()?.index === index;
  }

  /** An entry was applied: good or bad, whoever waited for its index now knows. */
  applied(entry: Entry, result: unknown, replicas: number): void {
    const waiter = this.#applied.shift();
    assert(waiter !== undefined && waiter.index === entry.index, 'asked before by isWaitedFor');
    const { term, index } = waiter;
    if (term === entry.term) waiter.done({ status: 'applied', term, index, result, replicas });
    else waiter.done({ status: 'replaced' });
  }

  writtenHere(through: LogIndex, replicasWith: (index: LogIndex) => number): void {
    this.#resolveWritten(this.#leader, through, replicasWith);
  }

  writtenOnMajority(through: LogIndex, replicasWith: (index: LogIndex) => number): void {
    this.#resolveWritten(this.#majority, through, replicasWith);
  }

  #resolveWritten(
    queue: Fifo<ProposalWaiter>,
    through: LogIndex,
    replicasWith: (index: LogIndex) => number,
  ): void {
    for (let head = queue.peek(); head !== undefined; head = queue.peek()) {
      if (head.index > through) return;
      queue.shift();
      const { index, term } = head;
      head.done({ status: 'written', term, index, replicas: replicasWith(index) });
    }
  }

  /** Leadership of the terms before `term` is over: what was not decided stays unknown. */
  abandonBefore(term: Term, reason: 'deposed' | 'stopped'): void {
    for (const queue of [this.#applied, this.#majority, this.#leader]) {
      for (let head = queue.peek(); head !== undefined; head = queue.peek()) {
        if (head.term >= term) break;
        queue.shift();
        head.done({ status: 'unknown', reason });
      }
    }
  }
}
