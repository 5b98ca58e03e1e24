import { describe, expect, test } from 'vitest';
import type { DataShard, QueueView } from '../../../src/broker/api.ts';
import { NEWEST_LEVEL, ROW_COPIES_LEVEL } from '../../../src/broker/feature-level.ts';
import { LATE_REFERENCE_OFFSETS } from '../../../src/broker/limits.ts';
import { decideTrim, type TrimSource } from '../../../src/shards/retention.ts';

const NO_LATE_ONES: Partial<DataShard> = {
  lowestLateIndex: () => undefined,
  featureLevel: () => NEWEST_LEVEL,
  lateBuckets: () => [],
  uncountedFrom: (_, offset) => offset,
  heldBodies: () => [],
};

const bucketAt = (lowest: number) => ({ queueId: 9, bucket: 0, lowest, isCounted: false });

interface FakeQueue extends QueueView {
  /** [baseOffset, log index] of each batch. */
  readonly rows: readonly (readonly [number, number])[];
}

function queue(queueId: number, rows: FakeQueue['rows'], startOffset = 0): FakeQueue {
  const endOffset = (rows.at(-1)?.[0] ?? -10) + 10;
  const cumulativeBytes = endOffset * 100;
  const view = { queueId, topicId: '5', queue: 0, open: true, startOffset, endOffset };
  return { ...view, cumulativeBytes, minQueueEpoch: 0, compaction: undefined, rows };
}

function source(queues: readonly FakeQueue[], other: Partial<TrimSource> = {}): TrimSource {
  const byId = (queueId: number) => queues.find((one) => one.queueId === queueId) as FakeQueue;
  const data = { queues: () => queues, ...NO_LATE_ONES };
  return {
    shard: 1,
    data: data as unknown as DataShard,
    nowMs: 1_000_000,
    matchedByAll: 5000,
    applied: 5000,
    logTrim: 0,
    isHoldingLog: false,
    rowsFrom: async () => [],
    mayGoEarly: false,
    compactedKeys: { firstLive: () => undefined },
    topicConfig: () => ({ retentionMs: 0, retentionBytes: 1000, durability: 1 }),
    rowAt: async (queueId, offset) => {
      const row = byId(queueId).rows.findLast(([base]) => base <= offset);
      const found = row !== undefined && offset < byId(queueId).endOffset;
      return found
        ? {
            ...{ baseOffset: row[0], count: 10, index: row[1] },
            ...{ cumulativeBytes: 100 * (row[0] + 10), storedAtMs: 0 },
          }
        : undefined;
    },
    offsetAtTime: async ({ startOffset }) => startOffset,
    offsetPastBytes: async (_, bytes) => bytes / 100,
    onDamage: (error) => {
      throw error;
    },
    ...other,
  };
}

describe('decideTrim', () => {
  test('rows that go while they are looked at end the decision, lost ones a process', async () => {
    const lost = new Error('index of queue 7 lacks 0');
    const one = queue(7, [[0, 100]]);
    const moving = source([one], {
      rowAt: async () => {
        Object.assign(one, { startOffset: 5 });
        throw lost;
      },
    });
    expect((await decideTrim(moving)).trim).toBeUndefined();
    const rowAt = () => Promise.reject(lost);
    const still = source([queue(7, [[0, 100]])], { rowAt });
    await expect(decideTrim(still)).rejects.toBe(lost);
  });

  test('whole batches go, and the log up to the first entry still needed', async () => {
    const decided = await decideTrim(
      source([
        queue(7, [
          [0, 100],
          [10, 200],
          [20, 300],
        ]),
      ]),
    );
    expect(decided.trim).toEqual({
      queues: [{ queueId: 7, startOffset: 20, startIndex: 300 }],
      logTrim: 299,
    });
  });

  test('another queue, an undecided half message or a slow replica holds the log', async () => {
    const queues = [
      queue(7, [
        [0, 100],
        [10, 200],
        [20, 300],
      ]),
      queue(8, [[0, 150]]),
    ];
    const logTrim = async (other: Partial<TrimSource>) =>
      (await decideTrim(source(queues, other))).trim?.logTrim;
    expect(await logTrim({})).toBe(149);
    expect(await logTrim({ matchedByAll: 120 })).toBe(120);
    const late = { lowestLateIndex: () => 90, lateBuckets: () => [bucketAt(90)] };
    const data = { queues: () => queues, ...NO_LATE_ONES, ...late } as unknown as DataShard;
    expect(await logTrim({ data })).toBe(89);
  });

  test('nothing goes where a row of the index is damaged, and somebody is told', async () => {
    const told: unknown[] = [];
    const failing = (code: string): Partial<TrimSource> => ({
      rowAt: () => Promise.reject(Object.assign(new Error('no row'), { code })),
      onDamage: ({ message }) => told.push(message),
    });
    const queues = [queue(7, [[0, 100]])];
    expect((await decideTrim(source(queues, failing('DATA_LOSS')))).trim).toBeUndefined();
    expect(told).toEqual(['no row']);
    await expect(decideTrim(source(queues, failing('IO')))).rejects.toThrow('no row');
  });

  test('an empty queue holds nothing; what came after the decision began is kept', async () => {
    const empty = queue(9, [[0, 100]], 10);
    const decided = await decideTrim(source([empty], { applied: 4000 }));
    expect(decided.trim).toEqual({ queues: [], logTrim: 4000 });
  });

  test('the trim point never falls, and a small gain is not worth an entry', async () => {
    const kept = queue(7, [[0, 100]]);
    const keep = { topicConfig: () => undefined };
    expect((await decideTrim(source([kept], keep))).trim).toBeUndefined();
    expect((await decideTrim(source([kept], { ...keep, logTrim: 4000 }))).trim).toBeUndefined();
    const holding = { ...keep, isHoldingLog: true };
    expect((await decideTrim(source([kept], holding))).trim).toEqual({ queues: [], logTrim: 99 });
    expect((await decideTrim(source([kept], { ...holding, logTrim: 99 }))).trim).toBeUndefined();
  });
});

describe('what keeps the log alone', () => {
  const body = (index: number) => ({
    ...{ owner: 'delayed' as const, id: { term: 1, index } },
    at: { term: 1, index },
  });
  const kept = queue(7, [[0, 1000]]);
  const keep = { topicConfig: () => undefined };
  const decided = (indexes: readonly number[], fixed?: number, other: Partial<TrimSource> = {}) => {
    const data: Partial<DataShard> = {
      queues: () => [kept],
      lowestLateIndex: () => Math.min(indexes[0] ?? 5000, fixed ?? 5000),
      featureLevel: () => NEWEST_LEVEL,
      lateBuckets: () => (fixed === undefined ? [] : [bucketAt(fixed)]),
      uncountedFrom: (_, offset) => offset,
      heldBodies: (below, limit) =>
        indexes
          .filter((index) => index < below)
          .slice(0, limit)
          .map(body),
    };
    return decideTrim(source([kept], { ...keep, ...other, data: data as DataShard }));
  };
  const copied = async (...args: Parameters<typeof decided>) =>
    (await decided(...args)).copies.map(({ at }) => at.index);

  test('is to be appended again, up to what cannot be moved', async () => {
    expect(await copied([100, 300, 2000])).toEqual([100, 300]);
    expect(await copied([100, 300, 2000], 500)).toEqual([100, 300]);
    expect(await copied([100, 300, 2000], 300)).toEqual([]);
    expect(await copied([])).toEqual([]);
  });

  test('only where much is gained for it', async () => {
    expect(await copied([800])).toEqual([]);
    expect(await copied([800], undefined, { isHoldingLog: true })).toEqual([800]);
    const many = Array.from({ length: 200 }, (_, i) => 700 + i);
    expect(await copied(many)).toEqual([]);
    expect(await copied([500, ...many])).toHaveLength(201);
  });

  test('the trim of the same pass stays below it', async () => {
    expect((await decided([600])).trim).toEqual({ queues: [], logTrim: 599 });
  });

  test('not more than fits a pass: the gain ends at the first that stays', async () => {
    const many = Array.from({ length: 300 }, (_, i) => 100 + 3 * i);
    expect(await copied(many)).toHaveLength(256);
    const dense = Array.from({ length: 400 }, (_, i) => 100 + i);
    expect(await copied(dense)).toEqual([]);
  });

  describe('on a nearly full disk', () => {
    const rows = Array.from({ length: 30 }, (_, at) => [10 * at, 100 + at] as const);
    const early = async (diskPolicy: 'data' | 'availability', mayGoEarly: boolean, count = 30) => {
      const config = { retentionMs: 0, retentionBytes: 0, durability: 1, diskPolicy } as const;
      const queues = [queue(7, rows.slice(0, count))];
      const other = { mayGoEarly, topicConfig: () => config };
      return (await decideTrim(source(queues, other))).trim?.queues;
    };

    test('a tenth of each queue goes where its topic prefers availability', async () => {
      expect(await early('availability', false)).toBeUndefined();
      expect(await early('data', true)).toBeUndefined();
      // 1,000 of 30,000 bytes are the first batch; a tenth of the rest, to the end of its batch.
      expect(await early('availability', true)).toEqual([
        { queueId: 7, startOffset: 30, startIndex: 103 },
      ]);
    });

    test('the newest batch stays', async () => {
      expect(await early('availability', true, 1)).toBeUndefined();
      expect(await early('availability', true, 2)).toEqual([
        { queueId: 7, startOffset: 10, startIndex: 101 },
      ]);
    });
  });
});

describe('what queues show that keep longer than others', () => {
  /** Counted: bucket 0 of queue 7. */
  const counted = { queueId: 7, bucket: 0, lowest: 4000, isCounted: true };
  const FAR = LATE_REFERENCE_OFFSETS;

  function decided(
    queues: readonly FakeQueue[],
    other: Partial<TrimSource> = {},
    view: Partial<DataShard> = {},
  ) {
    const data: Partial<DataShard> = {
      ...NO_LATE_ONES,
      queues: () => queues,
      ...view,
    };
    const rowsFrom: TrimSource['rowsFrom'] = async (queueId, offset) =>
      queues
        .find((one) => one.queueId === queueId)!
        .rows.filter(([base]) => base + 10 > offset)
        .map(([baseOffset, index]) => ({
          ...{ queueId, baseOffset, count: 10, index, term: 1 },
          ...{ storedAtMs: 0, cumulativeBytes: 100 * (baseOffset + 10) },
        }));
    const keep = { topicConfig: () => undefined, isHoldingLog: true, rowsFrom };
    return decideTrim(source(queues, { ...keep, ...other, data: data as DataShard }));
  }

  const rare = queue(7, [
    [0, 100],
    [10, 900],
    [20, 1700],
  ]);
  const newest = queue(8, [
    [0, 4999],
    [10, 5000],
  ]);

  test('is to be appended again, and names what is left of its bucket', async () => {
    const { rowCopies } = await decided([rare, newest]);
    const told = rowCopies.map(({ row, lowest, until }) => [row.index, lowest, until]);
    expect(told).toEqual([
      [100, 900, 30],
      [900, 1700, 30],
      [1700, 5001, 30],
    ]);
  });

  test('stays where little is gained for it, or its bytes are most of the log', async () => {
    const copied = async (...args: Parameters<typeof decided>) =>
      (await decided(...args)).rowCopies.length;
    expect(await copied([rare, newest], { isHoldingLog: false })).toBe(0);
    const rows = rare.rows.map(([baseOffset, index], at) => ({
      ...{ queueId: 7, baseOffset, count: 10, index, term: 1 },
      ...{ storedAtMs: 0, cumulativeBytes: 1e6 * (at + 1) },
    }));
    const large = { ...rare, cumulativeBytes: 3e6 };
    expect(await copied([large], { rowsFrom: async () => rows })).toBe(0);
    const others = { ...newest, cumulativeBytes: 3e6 };
    const rowsFrom = async (queueId: number) => (queueId === 7 ? rows : []);
    expect(await copied([large, others], { rowsFrom })).toBe(3);
    const dense = Array.from({ length: 50 }, (_, at) => [10 * at, 4950 + at] as const);
    expect(await copied([queue(7, dense)])).toBe(0);
    const level = ROW_COPIES_LEVEL - 1;
    expect(await copied([rare, newest], {}, { featureLevel: () => level })).toBe(0);
  });

  test('is left by the count of a bucket while it waits for the next trim', async () => {
    const topicConfig = () => ({ retentionMs: 0, retentionBytes: 1500, durability: 1 }) as const;
    const { rowCopies, trim } = await decided([rare], { topicConfig });
    expect(trim?.queues).toEqual([{ queueId: 7, startOffset: 10, startIndex: 900 }]);
    const told = rowCopies.map(({ row, lowest }) => [row.index, lowest]);
    expect(told).toEqual([
      [900, 100],
      [1700, 100],
    ]);
  });

  test('is not copied when only a part of its bucket could be read', async () => {
    const rowsFrom: TrimSource['rowsFrom'] = async (queueId) => [
      { queueId, baseOffset: 0, count: 10, index: 100, term: 1, storedAtMs: 0, cumulativeBytes: 1 },
    ];
    expect((await decided([rare, newest], { rowsFrom })).rowCopies).toEqual([]);
  });

  test('and was appended again holds nothing: the order of its queue goes on behind', async () => {
    const rows = [
      [0, 4000],
      [FAR, 300],
      [FAR + 10, 400],
    ] as const;
    const view: Partial<DataShard> = {
      lateBuckets: () => [counted],
      lowestLateIndex: () => 4000,
      uncountedFrom: (queueId, offset) => (queueId === 7 && offset < FAR ? FAR : offset),
    };
    const { trim } = await decided([queue(7, rows)], {}, view);
    expect(trim).toEqual({
      queues: [{ queueId: 7, startOffset: 0, startIndex: 300 }],
      logTrim: 299,
    });
  });

  test('rows that go while they are looked at, by another trim, are not copied', async () => {
    const queues = [{ ...rare }];
    const rowsFrom = () => {
      Object.assign(queues[0]!, { startOffset: 10 });
      return Promise.reject(new Error('below the start'));
    };
    expect((await decided(queues, { rowsFrom })).rowCopies).toEqual([]);
    const lost = () => Promise.reject(new Error('lost'));
    await expect(decided([rare], { rowsFrom: lost })).rejects.toThrow('lost');
  });
});
