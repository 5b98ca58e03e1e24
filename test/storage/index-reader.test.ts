import { describe, expect, test } from 'vitest';
import { indexReads, MissingRowError, type Scan } from '../../storage/index-reader.ts';
import { indexKey } from '../../storage/keys.ts';
import { encodeIndexBody, type IndexRow, lastOffsetOf, seal } from '../../storage/row-codec.ts';

const SHARD = 1;
const QUEUE = 7;
const MESSAGES = 3;

function rowAt(at: number): IndexRow {
  return {
    ...{ queueId: QUEUE, baseOffset: at * MESSAGES, count: MESSAGES, index: at + 1, term: 1 },
    ...{ storedAtMs: 1000 + at, cumulativeBytes: (at + 1) * 100 },
  };
}

/** A queue of so many batches; what is read of it is counted. */
function counted(batches: number) {
  const keys = Array.from({ length: batches }, (_, at) =>
    indexKey(SHARD, QUEUE, lastOffsetOf(rowAt(at))),
  );
  let rowsRead = 0;
  let seeks = 0;
  const scan: Scan = (range, limit, onRows) => {
    const from = Buffer.from(range.from).readUIntBE(11, 6);
    const first = Math.max(0, Math.ceil((from - (MESSAGES - 1)) / MESSAGES));
    const found = keys.slice(first, first + limit).map((key, at) => {
      return [key, seal(key, encodeIndexBody(rowAt(first + at)))] as const;
    });
    seeks += 1;
    rowsRead += found.length;
    onRows(undefined, found);
  };
  const search = (atMs: number) => {
    [rowsRead, seeks] = [0, 0];
    let found: IndexRow | undefined;
    const holds = (row: IndexRow) => row.storedAtMs >= atMs;
    const end = batches * MESSAGES;
    const queue = { shard: SHARD, queueId: QUEUE, moved: [] };
    indexReads(scan).firstIndexWhere(queue, 0, end, holds, (error, row) => {
      expect(error).toBeUndefined();
      found = row;
    });
    return { found, rowsRead, seeks };
  };
  return { search };
}

describe('a search by time', () => {
  // Ten times the queue: log2(10) more looks, and not ten times as many.
  test.each([100, 1000, 10_000, 100_000])('in %i batches reads O(log n) rows', (batches) => {
    const { search } = counted(batches);
    const looksMax = Math.ceil(Math.log2(batches * MESSAGES)) + 1;
    const places = [0, 1, Math.floor(batches / 3), batches - 2, batches - 1];
    for (const at of places) {
      const { found, rowsRead, seeks } = search(1000 + at);
      expect(found).toEqual(rowAt(at));
      expect([rowsRead <= looksMax, seeks <= looksMax]).toEqual([true, true]);
    }
    const { found, rowsRead } = search(1000 + batches);
    expect([found, rowsRead <= looksMax]).toEqual([undefined, true]);
  });
});

describe('rows that LevelDB does not hold yet', () => {
  /** Rows, or the number of a batch as its row. */
  type Given = readonly (IndexRow | number)[];
  const rowsOf = (given: Given) => given.map((row) => (typeof row === 'number' ? rowAt(row) : row));

  /** Where the rows begin that are answered, from the first offset on. */
  function read(stored: Given, moved: Given, limit = 9) {
    const scan: Scan = (_, most, onRows) => {
      const found = rowsOf(stored).map((row) => {
        const key = indexKey(SHARD, QUEUE, lastOffsetOf(row));
        return [key, seal(key, encodeIndexBody(row))] as const;
      });
      onRows(undefined, found.slice(0, most));
    };
    let answer: readonly (IndexRow | number)[] | Error = [];
    const queue = { shard: SHARD, queueId: QUEUE, moved: rowsOf(moved) };
    indexReads(scan).indexFrom(queue, 0, limit, (error, rows) => {
      const given = (row: IndexRow) => (row.count === MESSAGES ? row.baseOffset / MESSAGES : row);
      answer = error ?? rows.map(given);
    });
    return answer;
  }

  test('stand between the others', () => {
    expect(read([1, 3], [0, 2, 4])).toEqual([0, 1, 2, 3, 4]);
    expect(read([1, 3], [0, 2, 4], 2)).toEqual([0, 1]);
    expect(read([], [0, 1])).toEqual([0, 1]);
  });

  test('stand for those that are part of them, the newest for all', () => {
    const merged = { ...rowAt(2), baseOffset: MESSAGES, count: 2 * MESSAGES, index: 20 };
    expect(read([0, 1, 2, 3], [merged])).toEqual([0, merged, 3]);
    expect(read([0, 1, 2, 3], [merged], 2)).toEqual([0, merged]);
    expect(read([0, 2], [merged, 3])).toEqual([0, merged, 3]);
    // LevelDB was written since.
    expect(read([0, merged, 3], [1, 2])).toEqual([0, merged, 3]);
    expect(read([0, merged, 3], [2])).toEqual([0, merged, 3]);
  });

  test('are not answered beyond a hole, nor is a hole beside them damage', () => {
    expect(read([0, 1], [3])).toEqual([0, 1]);
    expect(read([2, 3], [0])).toEqual([0]);
    expect(read([], [0, 2])).toEqual([0]);
  });

  test('do not hide that the first is missing, nor a hole between others', () => {
    for (const missing of [read([2], [1]), read([], [1])]) {
      expect(missing).toBeInstanceOf(MissingRowError);
    }
    const hole = read([1, 3], [0]);
    expect(hole).toMatchObject({ code: 'DATA_LOSS', message: 'index of queue 7 lacks 6' });
    expect(hole).not.toBeInstanceOf(MissingRowError);
  });
});
