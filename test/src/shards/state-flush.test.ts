import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { QueueIndexRow } from '../../../src/broker/state-port.ts';
import { StateFlush, type StateFlushOptions } from '../../../src/shards/state-flush.ts';
import { stateRows, TABLE_KIND } from '../../../src/shards/tables.ts';
import { decodeKey, TABLE_KINDS } from '../../../storage/keys.ts';
import type { Effects } from '../../../storage/level-state.ts';
import { FakeStateStore } from '../../harness/fake-state-store.ts';

const SHARD = 3;
const QUEUE = 7;
const applied = (index: number) => ({ index, term: 1, timeMs: index });

function setUp(options: Partial<StateFlushOptions> = {}) {
  const store = new FakeStateStore();
  const flush = new StateFlush(store, options);
  const writer = flush.writerFor(SHARD);
  let index = 0;
  /** Applies one entry that makes a batch of `count` messages visible. */
  const produce = (count: number, queueId = QUEUE): QueueIndexRow => {
    const last = made.filter((row) => row.queueId === queueId).at(-1);
    const baseOffset = last === undefined ? 0 : last.baseOffset + last.count;
    index++;
    const size = { storedAtMs: index * 10, cumulativeBytes: index * 100 };
    const row = { queueId, baseOffset, count, index, term: 1, ...size };
    writer.putIndex(row);
    flush.markApplied(SHARD, applied(index));
    made.push(row);
    return row;
  };
  const made: QueueIndexRow[] = [];
  return { store, flush, writer, produce, made };
}

/** What a read answers; reads of the store are completed as they come. */
function rowsFrom(flush: StateFlush, store: FakeStateStore, offset: number, limit = 1000) {
  let answer: readonly QueueIndexRow[] | Error | undefined;
  flush.rowsFrom(SHARD, QUEUE, offset, limit, (error, rows) => {
    answer = error ?? rows;
  });
  while (answer === undefined && store.finishRead());
  return answer;
}

const indexes = (effects: readonly Effects[]): number[] =>
  effects.flatMap(({ applied: marks }) => marks.map(({ index }) => index));

describe('state flush', () => {
  it('hands nothing to LevelDB before the log is durable through it', () => {
    const { store, flush, produce } = setUp();
    for (let entry = 0; entry < 4; entry++) produce(1);
    expect(store.finishWrite()).toBe(false);
    flush.durable(SHARD, 2);
    expect(store.finishWrite()).toBe(true);
    expect(indexes(store.written)).toEqual([2]);
    expect(store.rows).toHaveLength(2);
    flush.durable(SHARD, 9);
    produce(1);
    while (store.finishWrite());
    expect(indexes(store.written)).toEqual([2, 4, 5]);
    expect(flush.pendingBytes).toBe(0);
  });

  describe('a batch that was appended again', () => {
    const moved = (row: QueueIndexRow, index: number) => ({ ...row, index });
    const move = ({ flush, writer }: ReturnType<typeof setUp>, row: QueueIndexRow) => {
      writer.moveIndex(row, []);
      flush.markApplied(SHARD, applied(row.index));
    };

    it('is found where it lies now, in memory and where LevelDB does not know it yet', () => {
      const rig = setUp({ maxRowsPerQueue: 1 });
      const { store, flush, produce } = rig;
      const rows = [produce(2), produce(2), produce(2)];
      flush.durable(SHARD, 3);
      while (store.finishWrite());
      const [first, , last] = [moved(rows[0]!, 4), rows[1]!, moved(rows[2]!, 5)];
      move(rig, first);
      move(rig, last);
      expect(rowsFrom(flush, store, 0)).toEqual([first, rows[1], last]);
      expect(rowsFrom(flush, store, 4)).toEqual([last]);
      flush.durable(SHARD, 5);
      while (store.finishWrite());
      const written = store.written.flatMap(({ ops }) =>
        ops.map(({ key }) => Buffer.from(key).toString('hex')),
      );
      expect(written.filter((key) => key === written[0])).toHaveLength(2);
    });

    it('is found at its last place when it was moved twice', () => {
      const rig = setUp({ maxRowsPerQueue: 0 });
      const { store, flush, produce } = rig;
      const row = produce(2);
      produce(1);
      flush.durable(SHARD, 3);
      while (store.finishWrite());
      move(rig, moved(row, 3));
      move(rig, moved(row, 4));
      while (store.finishWrite());
      expect(rowsFrom(flush, store, 0, 1)).toEqual([moved(row, 4)]);
    });

    describe('whose first entry was gone when this state was built again', () => {
      const rowAt = (baseOffset: number, index: number): QueueIndexRow => {
        const size = { storedAtMs: baseOffset * 10, cumulativeBytes: (baseOffset + 2) * 100 };
        return { queueId: QUEUE, baseOffset, count: 2, index, term: 1, ...size };
      };

      /** LevelDB has the rows at 2 and 6; those at 0 and 4 are new to it, and wait. */
      function builtAgain(waiting = [rowAt(0, 8), rowAt(4, 9)]) {
        const rig = setUp({ maxRowsPerQueue: 0 });
        const { store, flush, writer } = rig;
        const last = rowAt(6, 5);
        writer.putIndex(last);
        flush.markApplied(SHARD, applied(5));
        const second = rowAt(2, 7);
        move(rig, second);
        flush.durable(SHARD, 7);
        while (store.finishWrite());
        for (const row of waiting) move(rig, row);
        const [first, third] = [rowAt(0, 8), rowAt(4, 9)];
        return { ...rig, rows: [first, second, third, last] };
      }

      it('is found before LevelDB has it: at the front, and between others', () => {
        const { store, flush, rows } = builtAgain();
        for (let offset = 0; offset < 8; offset++) {
          const from = rows.slice(Math.floor(offset / 2));
          expect(rowsFrom(flush, store, offset)).toEqual(from);
          expect(rowsFrom(flush, store, offset, 2)).toEqual(from.slice(0, 2));
        }
        flush.durable(SHARD, 9);
        while (store.finishWrite());
        expect(store.rows).toEqual(rows);
        expect(rowsFrom(flush, store, 0)).toEqual(rows);
      });

      it('is found when LevelDB gets it behind the read', () => {
        const { store, flush, rows } = builtAgain();
        let answer: readonly QueueIndexRow[] | undefined;
        flush.rowsFrom(SHARD, QUEUE, 0, 10, (_, found) => {
          answer = found;
        });
        flush.durable(SHARD, 9);
        while (store.finishWrite());
        while (store.finishRead());
        expect(answer).toEqual(rows);
      });

      it('is found by time and by bytes', () => {
        const { store, flush, rows } = builtAgain();
        let answer = -1;
        const onOffset = (_: Error | undefined, offset: number): void => {
          answer = offset;
        };
        for (const row of rows) {
          flush.firstOffsetAtTime(SHARD, QUEUE, 0, 8, row.storedAtMs, onOffset);
          while (store.finishRead());
          expect(answer).toBe(row.baseOffset);
          flush.firstOffsetPastBytes(SHARD, QUEUE, 0, 8, row.cumulativeBytes - 1, onOffset);
          while (store.finishRead());
          expect(answer).toBe(row.baseOffset);
        }
      });

      it('does not hide that one is missing: nothing beyond it is answered', () => {
        const third = rowAt(4, 9);
        const { store, flush, rows } = builtAgain([third]);
        expect(rowsFrom(flush, store, 0)).toMatchObject({ message: 'index of queue 7 lacks 0' });
        expect(rowsFrom(flush, store, 2)).toEqual(rows.slice(1));
        const other = builtAgain([rowAt(0, 8)]);
        const lost = { code: 'DATA_LOSS', message: 'index of queue 7 lacks 4' };
        expect(rowsFrom(other.flush, other.store, 0)).toMatchObject(lost);
      });
    });

    it('is forgotten when its queue is closed, written or not', () => {
      const rig = setUp({ maxRowsPerQueue: 0 });
      const { store, flush, writer, produce } = rig;
      const row = produce(2);
      flush.durable(SHARD, 1);
      while (store.finishWrite());
      move(rig, moved(row, 2));
      writer.dropIndexBelow(QUEUE, Number.MAX_SAFE_INTEGER);
      flush.markApplied(SHARD, applied(3));
      store.erase();
      expect(rowsFrom(flush, store, 0)).toEqual([]);
    });

    it('is that of the state that took the place of another', () => {
      const rig = setUp({ maxRowsPerQueue: 0 });
      const { store, flush, produce } = rig;
      const row = produce(2);
      flush.durable(SHARD, 1);
      while (store.finishWrite());
      move(rig, moved(row, 3));
      flush.restore({ shard: SHARD, index: 9, term: 1, timeMs: 0 }, []);
      expect(rowsFrom(flush, store, 0, 1)).toEqual([row]);
    });
  });

  it('never cuts a pass: effects and their mark go together', () => {
    const { store, flush, writer } = setUp();
    writer.put('group', Buffer.from('a'), Buffer.from('1'));
    writer.put('group', Buffer.from('b'), undefined);
    flush.markApplied(SHARD, applied(5));
    flush.durable(SHARD, 4);
    expect(store.finishWrite()).toBe(false);
    flush.durable(SHARD, 5);
    store.finishWrite();
    const [effects] = store.written;
    expect(effects?.applied).toEqual([{ shard: SHARD, ...applied(5) }]);
    expect(effects?.ops.map(({ value }) => value?.toString())).toEqual(['1', undefined]);
    expect(effects?.ops.map(({ key }) => decodeKey(key).kind)).toEqual([0x25, 0x25]);
  });

  it('asks how far the log is durable, so that a truncation counts at once', () => {
    let durable = 10;
    const { store, flush, produce } = setUp({ durableIndexOf: () => durable });
    produce(1);
    durable = 1;
    produce(1);
    while (store.finishWrite());
    expect(indexes(store.written)).toEqual([1]);
    durable = 2;
    flush.durable(SHARD, 2);
    while (store.finishWrite());
    expect(indexes(store.written)).toEqual([1, 2]);
  });

  it('holds back while LevelDB has no room, and tells when too much waits', () => {
    const { store, flush, produce } = setUp({ maxPendingBytes: 100 });
    flush.durable(SHARD, 100);
    produce(1);
    store.hasRoom = false;
    produce(1);
    produce(1);
    expect(flush.isBacklogged).toBe(true);
    store.hasRoom = true;
    while (store.finishWrite());
    expect(indexes(store.written)).toEqual([1, 3]);
    expect(flush.isBacklogged).toBe(false);
  });

  it('a snapshot that takes the place of what filled it makes room', () => {
    let told = 0;
    const { flush, produce } = setUp({ maxPendingBytes: 400, onRoom: () => told++ });
    for (let entry = 0; entry < 6; entry++) produce(1);
    expect(flush.hasRoom).toBe(false);
    flush.restore({ shard: SHARD, index: 50, term: 1, timeMs: 500 }, []);
    expect([flush.hasRoom, told]).toEqual([true, 1]);
  });

  it('a shard that is gone from LevelDB leaves room to the others, and says so', () => {
    let told = 0;
    const { store, flush, produce } = setUp({ maxPendingBytes: 400, onRoom: () => told++ });
    store.hasRoom = false;
    store.pendingBytes = 500;
    produce(1);
    flush.durable(SHARD, 1);
    flush.release(9);
    flush.drop(9, () => {});
    expect([flush.hasRoom, told]).toEqual([false, 0]);
    store.hasRoom = true;
    store.pendingBytes = 0;
    store.finishSwap();
    expect([flush.hasRoom, told, store.finishWrite()]).toEqual([true, 1, true]);
  });

  it('hears of room that the store made by removing rows', () => {
    let told = 0;
    const { store, flush, produce } = setUp({ maxPendingBytes: 400, onRoom: () => told++ });
    flush.durable(SHARD, 1);
    produce(1);
    store.pendingBytes = 500;
    store.finishWrite();
    expect([flush.hasRoom, told]).toEqual([false, 0]);
    store.pendingBytes = 0;
    store.wrote();
    expect([flush.hasRoom, told]).toEqual([true, 1]);
  });

  it('once full, has room again when half of it is written, and says so once', () => {
    let told = 0;
    const { store, flush, produce } = setUp({ maxPendingBytes: 400, onRoom: () => told++ });
    expect(flush.hasRoom).toBe(true);
    for (let entry = 0; entry < 6; entry++) produce(1);
    expect(flush.hasRoom).toBe(false);
    flush.durable(SHARD, 1);
    store.finishWrite();
    expect([flush.isBacklogged, flush.hasRoom, told]).toEqual([false, false, 0]);
    flush.durable(SHARD, 4);
    while (store.finishWrite());
    expect([flush.hasRoom, told]).toEqual([true, 1]);
    flush.durable(SHARD, 6);
    while (store.finishWrite());
    expect(told).toBe(1);
  });

  it('answers from memory what LevelDB does not hold yet', () => {
    const { store, flush, produce, made } = setUp();
    for (let entry = 0; entry < 5; entry++) produce(2);
    expect(rowsFrom(flush, store, 0)).toEqual(made);
    expect(rowsFrom(flush, store, 3, 2)).toEqual(made.slice(1, 3));
    expect(rowsFrom(flush, store, 10)).toEqual([]);
  });

  it('answers at once what it kept, and joins LevelDB with memory', () => {
    const { store, flush, produce, made } = setUp({ maxRowsPerQueue: 4 });
    flush.durable(SHARD, 100);
    for (let entry = 0; entry < 10; entry++) produce(1);
    while (store.finishWrite());
    produce(1);
    expect(rowsFrom(flush, store, 0)).toEqual(made);
    expect(rowsFrom(flush, store, 2, 3)).toEqual(made.slice(2, 5));
    let isAnswered = false;
    flush.rowsFrom(SHARD, QUEUE, 8, 10, (_, rows) => {
      isAnswered = true;
      expect(rows).toEqual(made.slice(8));
    });
    expect(isAnswered).toBe(true);
  });

  it('reads again when rows moved to LevelDB behind the read', () => {
    const { store, flush, produce, made } = setUp({ maxRowsPerQueue: 0 });
    let answer: readonly QueueIndexRow[] = [];
    produce(1);
    flush.durable(SHARD, 1);
    store.finishWrite();
    // Memory: nothing. LevelDB: row 0. The next rows are written while row 1 is looked for.
    flush.rowsFrom(SHARD, QUEUE, 1, 10, (_, rows) => {
      answer = rows;
    });
    for (let entry = 0; entry < 3; entry++) produce(1);
    flush.durable(SHARD, 3);
    while (store.finishWrite());
    while (store.finishRead());
    expect(answer).toEqual(made.slice(1));
  });

  it('says that an offset fell below the start while it was looked for', () => {
    const { store, flush, writer, produce } = setUp({ maxRowsPerQueue: 0 });
    flush.durable(SHARD, 100);
    for (let entry = 0; entry < 4; entry++) produce(1);
    while (store.finishWrite());
    let failure: Error | undefined;
    flush.rowsFrom(SHARD, QUEUE, 1, 10, (error) => {
      failure = error;
    });
    writer.dropIndexBelow(QUEUE, 3);
    flush.markApplied(SHARD, applied(5));
    while (store.finishRead());
    expect(failure).toMatchObject({ code: 'OUT_OF_RANGE' });
    while (store.finishWrite());
    expect(store.written.at(-1)?.drops).toEqual([{ shard: SHARD, queueId: QUEUE, startOffset: 3 }]);
  });

  it('forgets a closed queue when its rows are written', () => {
    const { store, flush, writer, produce } = setUp();
    for (let entry = 0; entry < 3; entry++) produce(1);
    writer.dropIndexBelow(QUEUE, Number.MAX_SAFE_INTEGER);
    flush.markApplied(SHARD, applied(4));
    expect(rowsFrom(flush, store, 0)).toHaveLength(3);
    flush.durable(SHARD, 4);
    while (store.finishWrite());
    store.erase();
    expect(rowsFrom(flush, store, 0)).toEqual([]);
  });

  it('keeps few rows in all, those of quiet queues go first', () => {
    const { store, flush, produce } = setUp({ maxRowsPerQueue: 8, maxRows: 16 });
    flush.durable(SHARD, 1000);
    for (const queueId of [1, 2, 3, QUEUE]) {
      for (let entry = 0; entry < 8; entry++) produce(1, queueId);
      while (store.finishWrite());
    }
    let reads = 0;
    const isInMemory = (queueId: number): boolean => {
      let answered = false;
      flush.rowsFrom(SHARD, queueId, 7, 1, () => {
        answered = true;
      });
      if (!answered) reads++;
      return answered;
    };
    expect([1, 2, 3, QUEUE].map(isInMemory)).toEqual([false, false, true, true]);
    expect(reads).toBe(2);
  });
});

describe('a snapshot', () => {
  const mark = { shard: SHARD, index: 50, term: 2, timeMs: 500 };
  const table = { kind: 0x25, key: Buffer.from('a'), value: Buffer.from('b') } as const;

  function restored(logStart = 50) {
    const log = { start: logStart };
    const rig = setUp({ durableLogStartOf: () => log.start });
    rig.produce(1);
    rig.produce(1);
    rig.flush.restore(mark, [table]);
    const applyNext = (index: number): void => {
      const place = { queueId: QUEUE, baseOffset: index, count: 1, index, term: 2 };
      rig.writer.putIndex({ ...place, storedAtMs: 600, cumulativeBytes: 1 });
      rig.flush.markApplied(SHARD, { index, term: 2, timeMs: 600 });
    };
    return { ...rig, applyNext, log };
  }

  it('takes the place of what waited, of recent rows too', () => {
    const { flush, store } = restored();
    expect(flush.pendingBytes).toBe(0);
    flush.durable(SHARD, 60);
    expect(store.swaps).toEqual(['3 at 50 with 1']);
    expect(store.finishWrite()).toBe(false);
    expect(rowsFrom(flush, store, 0)).toEqual([]);
  });

  it('waits until the log is known to start after it, what follows waits for it', () => {
    const { flush, store, log, applyNext } = restored(10);
    applyNext(51);
    flush.durable(SHARD, 60);
    expect([store.swaps, store.finishWrite()]).toEqual([[], false]);
    log.start = 50;
    flush.durable(SHARD, 60);
    expect([store.swaps.length, store.finishWrite()]).toEqual([1, false]);
    applyNext(52);
    store.finishSwap();
    while (store.finishWrite());
    expect(indexes(store.written)).toEqual([52]);
    expect(store.rows.map(({ index }) => index)).toEqual([51, 52]);
  });

  it('may be followed by a newer one before it is in LevelDB', () => {
    const { flush, store, log } = restored();
    flush.restore({ ...mark, index: 90 }, []);
    log.start = 90;
    flush.durable(SHARD, 90);
    expect(store.swaps).toEqual(['3 at 50 with 1']);
    store.finishSwap();
    expect(store.swaps).toEqual(['3 at 50 with 1', '3 at 90 with 0']);
    expect(() => flush.restore({ ...mark, index: 90 }, [])).toThrow(/forwards/);
  });

  it('under way, is waited for when its shard is dropped', () => {
    const { flush, store, applyNext } = restored();
    applyNext(51);
    flush.release(SHARD);
    expect(flush.pendingBytes).toBe(0);
    let isGone = false;
    flush.drop(SHARD, () => {
      isGone = true;
    });
    flush.durable(SHARD, 60);
    store.finishSwap();
    expect([store.swaps.at(-1), isGone, store.finishWrite()]).toEqual(['3 gone', false, false]);
    store.finishSwap();
    expect(isGone).toBe(true);
    // Another replica of the shard begins from nothing.
    const writer = flush.writerFor(SHARD);
    writer.put('group', Buffer.from('a'), Buffer.from('1'));
    flush.markApplied(SHARD, applied(1));
    flush.durable(SHARD, 1);
    expect(store.finishWrite()).toBe(true);
  });
});

describe('search in the index', () => {
  it('finds what a look at all rows finds, wherever rows are', () => {
    const counts = fc.array(fc.integer({ min: 1, max: 4 }), { minLength: 1, maxLength: 30 });
    const places = fc.tuple(counts, fc.nat(30), fc.nat(6), fc.nat(320), fc.nat(60));
    fc.assert(
      fc.property(places, ([batches, durable, maxRowsPerQueue, target, startAt]) => {
        const { store, flush, produce, made } = setUp({ maxRowsPerQueue });
        flush.durable(SHARD, durable);
        for (const count of batches) produce(count);
        while (store.finishWrite());
        const last = made.at(-1) as QueueIndexRow;
        const end = last.baseOffset + last.count;
        const start = startAt % end;
        const expected = (holds: (row: QueueIndexRow) => boolean): number => {
          const isIn = (row: QueueIndexRow): boolean => row.baseOffset + row.count > start;
          const found = made.find((row) => isIn(row) && holds(row));
          return found === undefined ? end : Math.max(start, found.baseOffset);
        };
        let answer = -1;
        const onOffset = (_: Error | undefined, offset: number): void => {
          answer = offset;
        };
        flush.firstOffsetAtTime(SHARD, QUEUE, start, end, target, onOffset);
        while (store.finishRead());
        expect(answer).toBe(expected((row) => row.storedAtMs >= target));
        const bytes = target * 10;
        flush.firstOffsetPastBytes(SHARD, QUEUE, start, end, bytes, onOffset);
        while (store.finishRead());
        expect(answer).toBe(expected((row) => row.cumulativeBytes > bytes));
        expect(rowsFrom(flush, store, start)).toEqual(
          made.filter((row) => row.baseOffset + row.count > start),
        );
      }),
    );
  });

  it('answers the end of a queue without rows', () => {
    const { store, flush } = setUp();
    let answer = -1;
    flush.firstOffsetAtTime(SHARD, QUEUE, 5, 5, 0, (_, offset) => {
      answer = offset;
    });
    while (store.finishRead());
    expect(answer).toBe(5);
  });
});

describe('tables', () => {
  it('maps every table to its own kind and back', () => {
    expect(Object.values(TABLE_KIND).sort()).toEqual([...TABLE_KINDS].sort());
    const rows = TABLE_KINDS.map((kind) => ({ kind, key: Buffer.of(1), value: Buffer.of(2) }));
    expect([...stateRows(rows)].map(({ table }) => TABLE_KIND[table])).toEqual([...TABLE_KINDS]);
  });
});
