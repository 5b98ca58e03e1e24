import { expect } from 'vitest';
import type { QueueIndexRow, StateWriter } from '../../src/broker/state-port.ts';
import type { StateFlush } from '../../src/shards/state-flush.ts';

export const SHARD = 3;
export const QUEUE = 7;

/** Numbers that a random run picks what it does by. */
export type Step = readonly [kind: number, a: number, b: number];

/**
 * One queue's index: a plain list of its rows at each moment, and a `StateFlush` that is told the
 * same. What that answers must be what the list said while it was looked for.
 */
export class RowHistory {
  readonly #flush: StateFlush;
  readonly #writer: StateWriter;
  readonly #moments: (readonly QueueIndexRow[])[];
  /** Of the state that was built again: their entries are not in the log any more. */
  readonly #lost: Set<QueueIndexRow>;
  #applied: number;
  #marked: number;
  #durable = 0;
  startOffset = 0;
  endOffset = 0;
  /** Of reads: the first that was wrong. */
  failure: unknown;
  /** Reads that were begun and have not ended. */
  waiting = 0;

  constructor(flush: StateFlush, lostCounts: readonly number[]) {
    this.#flush = flush;
    this.#writer = flush.writerFor(SHARD);
    const lost = lostCounts.map((count, at) => this.#newRow(at + 1, count));
    this.#moments = [lost];
    this.#lost = new Set(lost);
    this.#applied = lost.length;
    this.#marked = lost.length;
  }

  get rows(): readonly QueueIndexRow[] {
    return this.#moments.at(-1)!;
  }

  append(count: number): void {
    const row = this.#newRow(++this.#applied, count);
    this.#writer.putIndex(row);
    this.#moments.push([...this.rows, row]);
  }

  /** One row, from then on, in place of some that stand next to each other. */
  merge(pick: number, count: number): void {
    const { rows } = this;
    const from = pick % rows.length;
    if (rows.length === 0 || rows[from]!.baseOffset < this.startOffset) return;
    const parts = rows.slice(from, from + count);
    const [first, last] = [parts[0]!, parts.at(-1)!];
    const size = endOf(last) - first.baseOffset;
    const index = ++this.#applied;
    const row = { ...last, baseOffset: first.baseOffset, count: size, index };
    const replaced = parts.slice(0, -1).map((part) => endOf(part) - 1);
    this.#writer.moveIndex(row, replaced);
    this.#moments.push([...rows.slice(0, from), row, ...rows.slice(from + parts.length)]);
  }

  /** What was lost is appended again, all of it: before that nobody may read. */
  recreate(pick: number): void {
    for (;;) {
      const at = this.rows.findIndex((row) => this.#lost.has(row));
      if (at === -1) return;
      const lost = this.rows.flatMap((row, place) => (this.#lost.has(row) ? [place] : []));
      this.merge(lost[pick % lost.length]!, 1 + (pick % 3));
    }
  }

  drop(pick: number): void {
    const offset = this.startOffset + (pick % (this.endOffset - this.startOffset + 1));
    // What is lost cannot be trimmed: it has been appended again before.
    if (this.rows.some((row) => this.#lost.has(row)) || offset === this.startOffset) return;
    this.#applied++;
    this.startOffset = offset;
    this.#writer.dropIndexBelow(QUEUE, offset);
    this.#moments.push(this.rows.filter((row) => endOf(row) > offset));
  }

  /** What was done since the last time is one pass; the log is durable up to some entries ago. */
  mark(behind: number): void {
    const index = this.#applied;
    if (index > this.#marked) this.#flush.markApplied(SHARD, { index, term: 1, timeMs: index });
    this.#marked = index;
    this.#durable = Math.max(this.#durable, index - behind);
    this.#flush.durable(SHARD, this.#durable);
  }

  /** Rows that LevelDB writes and memory lets go of meanwhile may end an answer early. */
  read(pick: number, limit: number): void {
    const offset = this.startOffset + (pick % (this.endOffset - this.startOffset + 1));
    const [began, isEnd] = [this.#moments.length - 1, offset === this.endOffset];
    this.waiting++;
    this.#flush.rowsFrom(SHARD, QUEUE, offset, limit, (error, rows) =>
      this.#judge(() => {
        if (offset < this.startOffset) expect(error).toMatchObject({ code: 'OUT_OF_RANGE' });
        else {
          expect(error).toBeUndefined();
          this.#expectDense(offset, rows, isEnd);
          this.#expectSince(began, rows);
          expect(rows.length).toBeLessThanOrEqual(limit);
          const isSame = began === this.#moments.length - 1;
          const all = this.rows.filter((row) => endOf(row) > offset);
          if (isSame) expect(rows).toEqual(all.slice(0, rows.length));
        }
      }),
    );
  }

  /** While nothing goes on. */
  readAll(): void {
    this.waiting++;
    this.#flush.rowsFrom(SHARD, QUEUE, this.startOffset, 1000, (error, rows) =>
      this.#judge(() => expect([error, rows]).toEqual([undefined, this.rows])),
    );
  }

  /** By time, or by bytes. */
  search(pick: number, target: number): void {
    const { endOffset, startOffset } = this;
    const start = startOffset + (pick % (endOffset - startOffset + 1));
    const began = this.#moments.length - 1;
    const isTime = pick % 2 === 0;
    const holds = (row: QueueIndexRow): boolean =>
      isTime ? row.storedAtMs >= target * 10 : row.cumulativeBytes > target * 100;
    const answerOf = (rows: readonly QueueIndexRow[]): number => {
      const found = rows.find((row) => endOf(row) > start && holds(row));
      return Math.min(endOffset, Math.max(start, found?.baseOffset ?? endOffset));
    };
    const onOffset = (error: Error | undefined, offset: number): void =>
      this.#judge(() => {
        expect(error).toBeUndefined();
        const answers = this.#moments.slice(began).map(answerOf);
        expect(offset).toBeGreaterThanOrEqual(Math.min(...answers));
        expect(offset).toBeLessThanOrEqual(Math.max(...answers));
      });
    this.waiting++;
    const range = [SHARD, QUEUE, start, endOffset] as const;
    if (isTime) this.#flush.firstOffsetAtTime(...range, target * 10, onOffset);
    else this.#flush.firstOffsetPastBytes(...range, target * 100, onOffset);
  }

  #newRow(index: number, count: number): QueueIndexRow {
    const baseOffset = this.endOffset;
    this.endOffset += count;
    const size = { storedAtMs: index * 10, cumulativeBytes: index * 100 };
    return { queueId: QUEUE, baseOffset, count, index, term: 1, ...size };
  }

  #expectDense(offset: number, rows: readonly QueueIndexRow[], mayBeEmpty: boolean): void {
    if (!mayBeEmpty) expect(rows.length).toBeGreaterThan(0);
    for (const [at, row] of rows.entries()) {
      if (at > 0) expect(row.baseOffset).toBe(endOf(rows[at - 1]!));
      else expect(row.baseOffset <= offset && offset < endOf(row)).toBe(true);
    }
  }

  /** Each of them was there at some moment from then on. */
  #expectSince(began: number, rows: readonly QueueIndexRow[]): void {
    const known = new Set(this.#moments.slice(began).flatMap((all) => all.map(textOf)));
    expect(rows.map(textOf).filter((row) => !known.has(row))).toEqual([]);
  }

  #judge(check: () => void): void {
    this.waiting--;
    try {
      check();
    } catch (error) {
      this.failure ??= error;
    }
  }
}

function endOf(row: QueueIndexRow): number {
  return row.baseOffset + row.count;
}

function textOf(row: QueueIndexRow): string {
  return JSON.stringify([row.baseOffset, row.count, row.index, row.storedAtMs]);
}
