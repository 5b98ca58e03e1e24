import { describe, expect, it, vi } from 'vitest';
import { indexKey, KeyKind, tableKey } from '../../storage/keys.ts';
import { type MergedBatch, type StateOp, WriteQueue } from '../../storage/write-queue.ts';

interface Limits {
  readonly maxBatchBytes: number;
  readonly batchDelayMs: number;
  readonly max: number;
}

function setUp(options: Partial<Limits> = {}) {
  const started: { batch: MergedBatch; finish: () => void }[] = [];
  const queue = new WriteQueue({
    maxBatchBytes: options.maxBatchBytes ?? 10_000,
    batchDelayMs: options.batchDelayMs ?? 0,
    maxPendingBytes: options.max ?? 100_000,
    writeBatch: (batch, finish) => started.push({ batch, finish }),
  });
  return { queue, started };
}

const put = (name: string, value: string | undefined): StateOp => ({
  key: tableKey(KeyKind.group, 1, Buffer.from(name)),
  value: value === undefined ? undefined : Buffer.from(value),
});
const mark = (index: number) => ({ shard: 1, index, term: 1, timeMs: 0 });
const values = ({ ops }: MergedBatch): (string | undefined)[] =>
  ops.map(({ value }) => value && Buffer.from(value).toString());

describe('write queue', () => {
  it('has one batch in flight and merges what waits', () => {
    const { queue, started } = setUp();
    const done: number[] = [];
    for (const index of [1, 2, 3]) {
      const ops = [put('a', `a${index}`), put(`b${index}`, 'b')];
      queue.push({ ops, applied: [mark(index)], done: () => done.push(index) });
    }
    expect(started).toHaveLength(1);
    started[0]?.finish();
    expect(done).toEqual([1]);
    expect(started).toHaveLength(2);
    expect(values(started[1]?.batch as MergedBatch)).toEqual(['a3', 'b', 'b']);
    expect(started[1]?.batch.applied).toEqual([mark(3)]);
    expect(queue.pendingBytes).toBeGreaterThan(0);
    started[1]?.finish();
    expect(done).toEqual([1, 2, 3]);
    expect(queue.pendingBytes).toBe(0);
  });

  it('lets the last of put and delete win', () => {
    const { queue, started } = setUp();
    queue.push({ ops: [], applied: [mark(1)], done: undefined });
    queue.push({ ops: [put('a', 'x'), put('b', undefined)], applied: [], done: undefined });
    queue.push({ ops: [put('a', undefined), put('b', 'y')], applied: [], done: undefined });
    started[0]?.finish();
    expect(values(started[1]?.batch as MergedBatch)).toEqual([undefined, 'y']);
  });

  it('keeps index rows in the order they came', () => {
    const { queue, started } = setUp();
    const row = (offset: number): StateOp => ({ key: indexKey(1, 2, offset), value: Buffer.of(0) });
    queue.push({ ops: [row(1), row(0), row(2)], applied: [], done: undefined });
    const numbers = started[0]?.batch.ops.map(({ key }) => key.at(-1));
    expect(numbers).toEqual([1, 0, 2]);
  });

  it('never splits what came together, and limits what it merges', () => {
    const { queue, started } = setUp({ maxBatchBytes: 300 });
    const large = put('a', 'x'.repeat(400));
    queue.push({ ops: [], applied: [mark(1)], done: undefined });
    queue.push({ ops: [large], applied: [mark(2)], done: undefined });
    queue.push({ ops: [put('b', 'y')], applied: [mark(3)], done: undefined });
    started[0]?.finish();
    expect(started[1]?.batch.applied).toEqual([mark(2)]);
    started[1]?.finish();
    expect(started[2]?.batch.applied).toEqual([mark(3)]);
  });

  it('waits for company, but not when somebody waits for it or much has come', () => {
    vi.useFakeTimers();
    try {
      const { queue, started } = setUp({ batchDelayMs: 10, maxBatchBytes: 1000 });
      queue.push({ ops: [put('a', '1')], applied: [], done: undefined });
      vi.advanceTimersByTime(9);
      expect(started).toHaveLength(0);
      vi.advanceTimersByTime(1);
      expect(started).toHaveLength(1);
      started[0]?.finish();
      queue.push({ ops: [put('a', 'x'.repeat(500))], applied: [], done: undefined });
      expect(started).toHaveLength(2);
      started[1]?.finish();
      queue.push({ ops: [put('a', '2')], applied: [], done: undefined });
      let idle = false;
      queue.whenIdle(() => {
        idle = true;
      });
      expect(started).toHaveLength(3);
      started[2]?.finish();
      expect(idle).toBe(true);
    } finally {
      vi.useRealTimers();
    }
  });

  it('refuses to hold more than its bound, and a shard that goes back', () => {
    const { queue, started } = setUp({ max: 200 });
    queue.push({ ops: [put('a', 'x'.repeat(300))], applied: [], done: undefined });
    expect(() => queue.push({ ops: [], applied: [], done: undefined })).toThrow('bound');
    started[0]?.finish();
    queue.push({ ops: [], applied: [mark(5)], done: undefined });
    queue.push({ ops: [], applied: [mark(6)], done: undefined });
    queue.push({ ops: [], applied: [mark(5)], done: undefined });
    expect(() => started[1]?.finish()).toThrow('goes back');
  });
});
