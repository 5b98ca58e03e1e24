import { describe, expect, it } from 'vitest';
import type { QueueIndexRow } from '../../../src/broker/state-port.ts';
import { MovedRows } from '../../../src/shards/moved-rows.ts';

const QUEUE = 7;

function rowAt(baseOffset: number, count: number, index: number, queueId = QUEUE): QueueIndexRow {
  return { queueId, baseOffset, count, index, term: 1, storedAtMs: 0, cumulativeBytes: 0 };
}

describe('moved rows', () => {
  it('stand in the order of their queue, whenever they were moved', () => {
    const moved = new MovedRows();
    const [late, early, other] = [rowAt(4, 2, 1), rowAt(0, 2, 2), rowAt(0, 9, 3, 8)];
    for (const row of [late, early, other]) moved.add(1, row, []);
    const before = moved.of(QUEUE);
    expect(before).toEqual([early, late]);
    moved.add(1, rowAt(2, 2, 4), []);
    expect(moved.of(QUEUE)).toHaveLength(3);
    expect(before).toEqual([early, late]);
  });

  it('go when LevelDB holds them, unless they were moved again since', () => {
    const moved = new MovedRows();
    const [first, again] = [rowAt(0, 2, 1), rowAt(0, 2, 2)];
    moved.add(1, first, []);
    moved.add(1, again, []);
    moved.readable(first);
    expect(moved.of(QUEUE)).toEqual([again]);
    moved.readable(again);
    expect(moved.of(QUEUE)).toEqual([]);
  });

  it('go when they become part of another, which stands for them', () => {
    const moved = new MovedRows();
    const [first, second, third] = [rowAt(0, 2, 1), rowAt(2, 2, 2), rowAt(6, 2, 3)];
    for (const row of [first, second, third]) moved.add(1, row, []);
    const merged = rowAt(0, 6, 4);
    moved.add(1, merged, [1, 3]);
    expect(moved.of(QUEUE)).toEqual([merged, third]);
    moved.readable(second);
    expect(moved.of(QUEUE)).toEqual([merged, third]);
  });

  it('go when their queue begins behind them, and with their shard', () => {
    const moved = new MovedRows();
    const [below, cut, above] = [rowAt(0, 2, 1), rowAt(2, 2, 2), rowAt(4, 2, 3)];
    for (const row of [below, cut, above]) moved.add(1, row, []);
    moved.add(2, rowAt(0, 1, 1, 8), []);
    moved.dropBelow(QUEUE, 3);
    expect(moved.of(QUEUE)).toEqual([cut, above]);
    moved.forgetShard(2);
    expect([moved.of(QUEUE).length, moved.of(8).length]).toEqual([2, 0]);
    moved.dropBelow(QUEUE, Number.MAX_SAFE_INTEGER);
    expect(moved.of(QUEUE)).toEqual([]);
  });
});
