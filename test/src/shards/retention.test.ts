import { describe, expect, test } from 'vitest';
import type { DataShard, QueueView } from '../../../src/broker/api.ts';
import { decideTrim, type TrimSource } from '../../../src/shards/retention.ts';

const NO_LATE_ONES: Partial<DataShard> = {
  lowestLateIndex: () => undefined,
  lowestFixedIndex: () => undefined,
  heldBodies: () => [],
};

interface FakeQueue extends QueueView {
  /** [baseOffset, log index] of each batch. */
  readonly rows: readonly (readonly [number, number])[];
}

function queue(queueId: number, rows: FakeQueue['rows'], startOffset = 0): FakeQueue {
  const endOffset = (rows.at(-1)?.[0] ?? -10) + 10;
  const cumulativeBytes = endOffset * 100;
  const view = { queueId, topicId: '5', queue: 0, open: true, startOffset, endOffset };
  return { ...view, cumulativeBytes, minQueueEpoch: 0, rows };
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
    mayGoEarly: false,
    topicConfig: () => ({ retentionMs: 0, retentionBytes: 1000, durability: 1 }),
    rowAt: async (queueId, offset) => {
      const row = byId(queueId).rows.findLast(([base]) => base <= offset);
      const found = row !== undefined && offset < byId(queueId).endOffset;
      return found
        ? { baseOffset: row[0], index: row[1], cumulativeBytes: 100 * (row[0] + 10), storedAtMs: 0 }
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
    const late = { lowestLateIndex: () => 90, lowestFixedIndex: () => 90 };
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
      lowestFixedIndex: () => fixed,
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
