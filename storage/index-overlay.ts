/**
 * Index rows that LevelDB does not hold yet, laid over those that it does. Such a row takes the
 * place of one or several older ones, each of them whole, or of none: those that a state which was
 * built again never had.
 */
import { type IndexRow, lastOffsetOf } from './row-codec.ts';

/**
 * At most `limit` of both, from the one that holds `offset` on. Of those that overlap the newest
 * stays: LevelDB may have been written since `moved` was taken.
 */
export function overlaid(
  stored: readonly IndexRow[],
  moved: readonly IndexRow[],
  offset: number,
  limit: number,
): readonly IndexRow[] {
  let nextMoved = firstEndingFrom(moved, offset);
  if (nextMoved === moved.length) return stored;
  const rows: IndexRow[] = [];
  let nextStored = 0;
  while (rows.length < limit) {
    const there = stored[nextStored];
    const over = moved[nextMoved];
    if (over === undefined || (there !== undefined && isBefore(there, over))) {
      if (there === undefined) break;
      rows.push(there);
      nextStored++;
    } else if (there === undefined || isBefore(over, there)) {
      rows.push(over);
      nextMoved++;
    } else if (there.index > over.index) nextMoved++;
    else nextStored++;
  }
  return rows;
}

function isBefore(row: IndexRow, other: IndexRow): boolean {
  return lastOffsetOf(row) < other.baseOffset;
}

function firstEndingFrom(rows: readonly IndexRow[], offset: number): number {
  let [low, high] = [0, rows.length];
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (lastOffsetOf(rows[middle] as IndexRow) >= offset) high = middle;
    else low = middle + 1;
  }
  return low;
}
