import { expect, test } from 'vitest';
import type { QueueView } from '../../../src/broker/api.ts';
import type { StartSource } from '../../../src/shards/retention.ts';
import { planQueue } from '../../../src/shards/retention-plan.ts';

const HOUR_MS = 3_600_000;

/** Batches of ten messages and 100 bytes, an hour apart; `gone` of them were trimmed. */
function queueOf(batches: number, gone = 0) {
  const startOffset = gone * 10;
  const endOffset = batches * 10;
  const view = { queueId: 7, topicId: '5', queue: 0, open: true, startOffset, endOffset };
  const queue = { ...view, cumulativeBytes: batches * 100, minQueueEpoch: 0 };
  const source: StartSource = {
    nowMs: batches * HOUR_MS,
    mayGoEarly: false,
    compactedKeys: { firstLive: () => undefined },
    topicConfig: () => ({ retentionMs: 2 * HOUR_MS, retentionBytes: 0, durability: 1 }),
    rowAt: async (_, offset) => {
      const at = Math.floor(offset / 10);
      if (offset < queue.startOffset) throw new Error(`index of queue 7 lacks ${offset}`);
      if (at >= batches) return undefined;
      const cumulativeBytes = (at + 1) * 100;
      const place = { baseOffset: at * 10, count: 10, index: 50 + at };
      return { ...place, cumulativeBytes, storedAtMs: at * HOUR_MS };
    },
    offsetAtTime: async (one, atMs) => Math.max(one.startOffset, (atMs / HOUR_MS) * 10),
    offsetPastBytes: async (_, bytes) => bytes / 10,
  };
  return { queue: queue as { -readonly [Key in keyof QueueView]: QueueView[Key] }, source };
}

test('says what is kept and what would go, in whole batches', async () => {
  const { queue, source } = queueOf(5);
  expect(await planQueue(source, queue)).toEqual({
    ...{ startOffset: 0, endOffset: 50, bytes: 500, oldestAtMs: 0 },
    ...{ newStartOffset: 30, goingBytes: 300 },
  });
  const forEver = () => ({ retentionMs: 0, retentionBytes: 0, durability: 1 }) as const;
  expect(await planQueue({ ...source, topicConfig: forEver }, queue)).toMatchObject({
    ...{ newStartOffset: 0, goingBytes: 0 },
  });
});

test('the oldest batch counts only where nothing went before it', async () => {
  const { queue, source } = queueOf(6, 2);
  expect(await planQueue(source, queue)).toEqual({
    ...{ startOffset: 20, endOffset: 60, bytes: 300, oldestAtMs: 2 * HOUR_MS },
    ...{ newStartOffset: 40, goingBytes: 100 },
  });
});

test('an empty queue keeps nothing', async () => {
  const { queue, source } = queueOf(3, 3);
  const empty = { bytes: 0, oldestAtMs: 0, newStartOffset: 30, goingBytes: 0 };
  expect(await planQueue(source, queue)).toEqual({ startOffset: 30, endOffset: 30, ...empty });
});

test('one that is trimmed meanwhile is looked at again; lost rows are told of', async () => {
  const { queue, source } = queueOf(5);
  let looks = 0;
  const rowAt: StartSource['rowAt'] = (queueId, offset) => {
    looks += 1;
    if (looks === 1) queue.startOffset = 10;
    return source.rowAt(queueId, offset);
  };
  expect(await planQueue({ ...source, rowAt }, queue)).toMatchObject({
    startOffset: 10,
    bytes: 300,
  });
  const lost = () => Promise.reject(new Error('index of queue 7 lacks 10'));
  await expect(planQueue({ ...source, rowAt: lost }, queue)).rejects.toThrow('lacks 10');
});
