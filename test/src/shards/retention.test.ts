import { describe, expect, test } from 'vitest';
import type { DataShard, QueueView } from '../../../src/broker/api.ts';
import { decideTrim, type TrimSource } from '../../../src/shards/retention.ts';

interface FakeQueue extends QueueView {
  /** [baseOffset, log index] of each batch. */
  readonly rows: readonly (readonly [number, number])[];
}

function queue(queueId: number, rows: FakeQueue['rows'], startOffset = 0): FakeQueue {
  const endOffset = (rows.at(-1)?.[0] ?? -10) + 10;
  const cumulativeBytes = endOffset * 100;
  const view = { queueId, topicId: '5', queue: 0, open: true, startOffset, endOffset };
  return { ...view, cumulativeBytes, rows };
}

function source(queues: readonly FakeQueue[], other: Partial<TrimSource> = {}): TrimSource {
  const byId = (queueId: number) => queues.find((one) => one.queueId === queueId) as FakeQueue;
  const data = { queues: () => queues, lowestLateIndex: () => undefined };
  return {
    shard: 1,
    data: data as unknown as DataShard,
    nowMs: 1_000_000,
    matchedByAll: 5000,
    applied: 5000,
    logTrim: 0,
    isHoldingLog: false,
    topicConfig: () => ({ retentionMs: 0, retentionBytes: 1000, durability: 1 }),
    rowAt: async (queueId, offset) => {
      const row = byId(queueId).rows.findLast(([base]) => base <= offset);
      const found = row !== undefined && offset < byId(queueId).endOffset;
      return found ? { baseOffset: row[0], index: row[1] } : undefined;
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
    expect(await decideTrim(moving)).toBeUndefined();
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
    expect(decided).toEqual({
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
      (await decideTrim(source(queues, other)))?.logTrim;
    expect(await logTrim({})).toBe(149);
    expect(await logTrim({ matchedByAll: 120 })).toBe(120);
    const data = { queues: () => queues, lowestLateIndex: () => 90 } as unknown as DataShard;
    expect(await logTrim({ data })).toBe(89);
  });

  test('nothing goes where a row of the index is damaged, and somebody is told', async () => {
    const told: unknown[] = [];
    const failing = (code: string): Partial<TrimSource> => ({
      rowAt: () => Promise.reject(Object.assign(new Error('no row'), { code })),
      onDamage: ({ message }) => told.push(message),
    });
    const queues = [queue(7, [[0, 100]])];
    expect(await decideTrim(source(queues, failing('DATA_LOSS')))).toBeUndefined();
    expect(told).toEqual(['no row']);
    await expect(decideTrim(source(queues, failing('IO')))).rejects.toThrow('no row');
  });

  test('an empty queue holds nothing; what came after the decision began is kept', async () => {
    const empty = queue(9, [[0, 100]], 10);
    const decided = await decideTrim(source([empty], { applied: 4000 }));
    expect(decided).toEqual({ queues: [], logTrim: 4000 });
  });

  test('the trim point never falls, and a small gain is not worth an entry', async () => {
    const kept = queue(7, [[0, 100]]);
    const keep = { topicConfig: () => undefined };
    expect(await decideTrim(source([kept], keep))).toBeUndefined();
    expect(await decideTrim(source([kept], { ...keep, logTrim: 4000 }))).toBeUndefined();
    const holding = { ...keep, isHoldingLog: true };
    expect(await decideTrim(source([kept], holding))).toEqual({ queues: [], logTrim: 99 });
    expect(await decideTrim(source([kept], { ...holding, logTrim: 99 }))).toBeUndefined();
  });
});
