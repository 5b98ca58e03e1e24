import { describe, expect, test } from 'vitest';
import { indexReads, type Scan } from '../../storage/index-reader.ts';
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
    indexReads(scan).firstIndexWhere(SHARD, QUEUE, 0, end, holds, (error, row) => {
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
