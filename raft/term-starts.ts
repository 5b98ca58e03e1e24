/**
 * The term of every index of a log in a few numbers: a mark where each term begins. Terms never
 * fall along a log, so the marks ascend in both term and index.
 */
import { strict as assert } from 'node:assert';
import type { EntryId, LogIndex, Term, TermStart } from './types.ts';

export class TermStarts {
  #start: EntryId;
  #marks: TermStart[];

  constructor(start: EntryId, marks: readonly TermStart[]) {
    this.#start = start;
    this.#marks = marks.map(({ term, index }) => ({ term, index }));
    for (let at = 1; at < marks.length; at++) {
      assert(marks[at - 1]!.index < marks[at]!.index, 'term starts ascend by index');
      assert(marks[at - 1]!.term < marks[at]!.term, 'term starts ascend by term');
    }
  }

  get marks(): readonly TermStart[] {
    return this.#marks;
  }

  get lastTerm(): Term {
    const last = this.#marks.at(-1);
    return last === undefined ? this.#start.term : last.term;
  }

  /** Position of the last mark with index <= `index`; -1 = before every mark. */
  #markBefore(index: LogIndex): number {
    let low = 0;
    let high = this.#marks.length;
    // The tail is asked for most: look there first.
    if (high > 0 && this.#marks[high - 1]!.index <= index) return high - 1;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.#marks[middle]!.index <= index) low = middle + 1;
      else high = middle;
    }
    return low - 1;
  }

  at(index: LogIndex): Term {
    if (index <= this.#start.index) return this.#start.term;
    const mark = this.#markBefore(index);
    return mark < 0 ? this.#start.term : this.#marks[mark]!.term;
  }

  startOf(index: LogIndex): LogIndex {
    const mark = this.#markBefore(index);
    return mark < 0 ? this.#start.index : this.#marks[mark]!.index;
  }

  /** Never below the log's start: what lies before it is committed and equal everywhere. */
  lastIndexWithTermAtMost(term: Term, limit: LogIndex): LogIndex {
    let mark = this.#markBefore(limit);
    let last = limit;
    while (mark >= 0 && this.#marks[mark]!.term > term) {
      last = this.#marks[mark]!.index - 1;
      mark--;
    }
    return Math.max(last, this.#start.index);
  }

  append(index: LogIndex, term: Term): void {
    const last = this.#marks.at(-1);
    if (last !== undefined && last.term === term) return;
    // A log emptied by retention keeps one mark past its end: it gives way.
    if (last !== undefined && last.index === index) this.#marks.pop();
    this.#marks.push({ term, index });
  }

  truncateFrom(index: LogIndex): void {
    while (this.#marks.length > 0 && this.#marks.at(-1)!.index >= index) this.#marks.pop();
  }

  startAt(start: EntryId): void {
    const mark = this.#markBefore(start.index + 1);
    this.#start = start;
    const kept = this.#marks.slice(Math.max(0, mark));
    const first = kept[0];
    if (first !== undefined && first.index <= start.index) {
      kept[0] = { term: first.term, index: start.index + 1 };
    }
    this.#marks = kept;
  }
}
