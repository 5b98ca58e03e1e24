import { expect, it } from 'vitest';
import type { QueueIndexRow } from '../../../src/broker/state-port.ts';
import { RecentRows } from '../../../src/shards/recent-rows.ts';

function rowAt(baseOffset: number, count: number, index: number): QueueIndexRow {
  const size = { storedAtMs: index * 10, cumulativeBytes: index * 100 };
  return { queueId: 7, baseOffset, count, index, term: 1, ...size };
}

/** Rows of two messages each; those of the first four offsets are in LevelDB alone. */
function recentRows(count: number) {
  const recent = new RecentRows({ maxRowsPerQueue: 1, maxRows: 100 });
  const rows = Array.from({ length: count }, (_, at) => rowAt(at * 2, 2, at + 1));
  for (const row of rows) recent.append(1, row);
  for (const row of rows.slice(0, 2)) recent.readable(row);
  return { recent, rows, tail: recent.tail(7)! };
}

it('a row that takes the place of several is one, and counts as one', () => {
  const { recent, rows, tail } = recentRows(6);
  expect([tail.first, recent.rowCount]).toEqual([rows[2], 4]);
  const merged = { ...rows[4]!, baseOffset: 6, count: 4, index: 9 };
  recent.move(merged);
  expect(recent.rowCount).toBe(3);
  expect(tail.from(8, 9)).toEqual([merged, rows[5]]);
  expect(tail.from(4, 9)).toEqual([rows[2], merged, rows[5]]);
});

it('a row whose beginning is in LevelDB alone comes first', () => {
  const { recent, rows, tail } = recentRows(6);
  const merged = { ...rows[3]!, baseOffset: 2, count: 6, index: 9 };
  recent.move(merged);
  expect([tail.covers(1), tail.covers(2), recent.rowCount]).toEqual([false, true, 3]);
  expect(tail.from(3, 9)).toEqual([merged, ...rows.slice(4)]);
});

it('a row that is all in LevelDB, or of another queue, changes nothing', () => {
  const { recent, rows, tail } = recentRows(6);
  recent.move({ ...rows[1]!, baseOffset: 0, count: 4, index: 9 });
  recent.move({ ...rows[3]!, queueId: 8 });
  expect([tail.first, recent.rowCount]).toEqual([rows[2], 4]);
});

it('a row that would cut another in two is a mistake', () => {
  const { recent } = recentRows(6);
  expect(() => recent.move(rowAt(6, 3, 9))).toThrow('row at 6 cuts others in two');
  expect(() => recent.move(rowAt(7, 3, 9))).toThrow('row at 7 cuts others in two');
});
