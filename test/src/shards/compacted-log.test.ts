import v8 from 'node:v8';
import vm from 'node:vm';
import { describe, expect, test } from 'vitest';
import { LATE_REFERENCE_OFFSETS } from '../../../src/broker/limits.ts';
import { planOfBucket } from '../../../src/shards/compaction.ts';
import { copyRowsForward } from '../../../src/shards/copy-forward.ts';
import { decideTrim, type TrimSource } from '../../../src/shards/retention.ts';
import { CompactedQueue } from '../../harness/compacted-queue.ts';

const BUCKET = LATE_REFERENCE_OFFSETS;
const AT_ONCE = { minLagMs: 0, tombstoneMs: 1000 };

function versions(queue: CompactedQueue, key: string, count: number, together = 1): void {
  const batch = Array.from({ length: together }, (_, at) => ({ key, body: `${key}${at}` }));
  for (let at = 0; at < count; at += together) queue.produce(batch);
}

/** As the log keeper does where the log is held: a trim, copies, and compaction. */
class Keeper {
  readonly #queue: CompactedQueue;
  logTrim = 0;

  constructor(queue: CompactedQueue) {
    this.#queue = queue;
  }

  /** How much of the log is left. */
  get held(): number {
    return this.#queue.log.length - this.logTrim;
  }

  async pass(): Promise<void> {
    const queue = this.#queue;
    const { rowCopies, trim } = await decideTrim(this.#source());
    if (trim !== undefined) {
      const result = queue.apply({ type: 'trim', ...trim });
      if (result.type === 'trimmed') this.logTrim = result.logTrim;
    }
    await copyRowsForward(queue.source().host, 1, rowCopies, () => undefined);
    await queue.compact();
  }

  #source(): TrimSource {
    const { rows } = this.#queue;
    const applied = this.#queue.log.length;
    const config = { retentionMs: 0, retentionBytes: 0, durability: 1 } as const;
    return {
      ...this.#queue.source(),
      ...{ applied, matchedByAll: applied, logTrim: this.logTrim },
      ...{ isHoldingLog: true, mayGoEarly: false },
      topicConfig: () => config,
      rowAt: async (_, offset) => rows.index.find((row) => row.baseOffset + row.count > offset),
      compactedKeys: this.#queue.state.compactedKeys,
      offsetPastBytes: async () => 0,
      onDamage: ({ message }) => expect(message).toBe('no damage'),
    };
  }
}

describe('the log of a queue of which little is left', () => {
  test.each([
    [1, 'nothing else'],
    [8, 'nothing else'],
    [1, 'a key that is never written again'],
    [8, 'a key that is never written again'],
  ])(
    'does not grow with all that was ever sent: %i buckets a pass, and %s',
    async (buckets, besides) => {
      const queue = new CompactedQueue(AT_ONCE);
      const keeper = new Keeper(queue);
      const isCold = besides !== 'nothing else';
      if (isCold) versions(queue, 'cold', 1);
      for (let at = 0; at < 96 / (buckets + 2); at += 1) {
        versions(queue, 'hot', buckets * BUCKET, 32);
        await keeper.pass();
      }
      expect(keeper.held).toBeLessThan(queue.log.length / 4);
      expect(queue.view.startOffset > 0).toBe(!isCold);
      expect(queue.read().length).toBe(isCold ? 2 : 1);
    },
    60_000,
  );

  test('does not stay when more buckets lie side by side than are looked at together', async () => {
    const queue = new CompactedQueue(AT_ONCE);
    const keeper = new Keeper(queue);
    versions(queue, 'cold', 1);
    versions(queue, 'hot', 300 * BUCKET, 512);
    await keeper.pass();
    versions(queue, 'hot', 200 * BUCKET, 64);
    for (let at = 0; at < 6; at += 1) await keeper.pass();
    // Where the 300 were written side by side.
    expect(keeper.logTrim).toBeGreaterThan(1 + 300 * (BUCKET / 512) + 300);
  }, 60_000);
});

test('a bucket that was appended again before it was full is compacted once it is', async () => {
  const queue = new CompactedQueue(AT_ONCE);
  for (let at = 0; at < 10; at += 1) queue.produce([{ key: `cold${at}`, body: 'x' }]);
  for (let at = 0; at < 2000; at += 1) queue.apply({ type: 'forgetTopic', topicId: '9' });
  await new Keeper(queue).pass();
  versions(queue, 'hot', 2 * BUCKET);
  await queue.compact();
  expect(queue.rows.index.filter(({ baseOffset }) => baseOffset < BUCKET).length).toBe(1);
});

test('a trim that was decided before rows became one ends nobody', async () => {
  const queue = new CompactedQueue(AT_ONCE);
  const keeper = new Keeper(queue);
  versions(queue, 'a', BUCKET);
  versions(queue, 'b', BUCKET);
  const { baseOffset: startOffset, index: startIndex } = queue.rows.index[500]!;
  await queue.compact();
  const late = { queues: [{ queueId: 1, startOffset, startIndex }], logTrim: startIndex - 1 };
  queue.apply({ type: 'trim', ...late });
  versions(queue, 'c', BUCKET + 1);
  for (let at = 0; at < 3; at += 1) await keeper.pass();
  expect(queue.view.startOffset).toBe(startOffset);
  expect(keeper.logTrim).toBeGreaterThan(2 * BUCKET);
});

test('deletions whose time is over go without another message', async () => {
  const queue = new CompactedQueue(AT_ONCE);
  for (let at = 0; at < 2 * BUCKET; at += 1) queue.produce([{ key: `k${at}`, body: '' }]);
  queue.timeMs += 5000;
  await new Keeper(queue).pass();
  expect(queue.read()).toEqual([]);
  expect(queue.stored()).toEqual([]);
});

test('what is not left of a bucket is not held in memory', async () => {
  v8.setFlagsFromString('--expose-gc');
  const collect = vm.runInNewContext('gc') as () => void;
  const queue = new CompactedQueue(AT_ONCE);
  versions(queue, 'hot', BUCKET);
  const source = queue.source();
  const read: WeakRef<object>[] = [];
  let held = 0;
  const host: typeof source.host = {
    ...source.host,
    readEntry: (_, index, done) =>
      setImmediate(() => {
        const entry = queue.log[index - 1]!;
        if (read.length === BUCKET - 1) {
          collect();
          held = read.filter((ref) => ref.deref() !== undefined).length;
        }
        const payload = new Uint8Array(entry.payload);
        read.push(new WeakRef(payload));
        done(undefined, { ...entry, payload });
      }),
  };
  await planOfBucket({ ...source, host }, queue.view, 0);
  expect(held).toBeLessThan(16);
});
