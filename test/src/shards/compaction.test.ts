import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { LATE_REFERENCE_OFFSETS } from '../../../src/broker/limits.ts';
import { Compaction, compactedPart, planOfBucket } from '../../../src/shards/compaction.ts';
import { CompactedQueue, type Keyed, type ReadMessage } from '../../harness/compacted-queue.ts';

const BUCKET = LATE_REFERENCE_OFFSETS;
const AT_ONCE = { minLagMs: 0, tombstoneMs: 1000 };

/** Of one key, so many versions. */
function versions(queue: CompactedQueue, key: string, count: number, from = 0): void {
  for (let at = 0; at < count; at += 1) queue.produce([{ key, body: `${key}${from + at}` }]);
}

const bodies = (messages: readonly ReadMessage[]) => messages.map(({ body }) => body);
const MERGED = { index: expect.any(Number), baseOffset: 0, count: BUCKET };

describe('a bucket of which most is gone', () => {
  test('becomes one row with what is left, under its offsets, names and times', async () => {
    const queue = new CompactedQueue(AT_ONCE);
    queue.produce([{ key: 'kept', body: 'first' }]);
    queue.timeMs += 5;
    versions(queue, 'often', BUCKET);
    const before = queue.read();
    expect(bodies(before)).toEqual(['first', `often${BUCKET - 1}`]);
    await queue.compact();
    expect(queue.rows.index).toEqual([expect.objectContaining(MERGED), expect.anything()]);
    expect(queue.stored()).toEqual(before);
    expect(before[0]).toMatchObject({ offset: 0, name: '2/0', storedAtMs: 1000 });
    expect(queue.state.lateBucket(1, 0)).toMatchObject({ lowest: queue.log.length });
  });

  test('is compacted again once half of what was left is gone', async () => {
    const queue = new CompactedQueue(AT_ONCE);
    for (let key = 0; key < 8; key += 1) versions(queue, `k${key}`, BUCKET / 8);
    await queue.compact();
    const entries = queue.log.length;
    const keys = [0, 1, 2].map((key) => ({ key: `k${key}`, body: 'new' }));
    queue.produce(keys);
    await queue.compact();
    expect(queue.log.length).toBe(entries + 1);
    queue.produce([{ key: 'k3', body: 'new' }]);
    await queue.compact();
    expect(queue.log.length).toBe(entries + 3);
    expect(queue.stored().length).toBe(4 + 4);
    expect(bodies(queue.read())).toEqual([4, 5, 6, 7].map(lastOf).concat(Array(4).fill('new')));
  });

  test('waits until nobody may read what is hidden', async () => {
    const queue = new CompactedQueue({ minLagMs: 100, tombstoneMs: 1000 });
    versions(queue, 'a', BUCKET);
    queue.timeMs += 99;
    await queue.compact();
    expect(queue.rows.index.length).toBe(BUCKET);
    expect(queue.read().length).toBe(BUCKET);
    queue.timeMs += 1;
    await queue.compact();
    expect(queue.rows.index.length).toBe(1);
    expect(bodies(queue.read())).toEqual([`a${BUCKET - 1}`]);
  });

  test('waits until it is full', async () => {
    const queue = new CompactedQueue(AT_ONCE);
    versions(queue, 'a', BUCKET - 1);
    await queue.compact();
    expect(queue.rows.index.length).toBe(BUCKET - 1);
    versions(queue, 'a', 1);
    await queue.compact();
    expect(queue.rows.index.length).toBe(1);
  });

  test('with nothing left is an entry without messages', async () => {
    const queue = new CompactedQueue(AT_ONCE);
    versions(queue, 'a', BUCKET + 1);
    await queue.compact();
    expect(queue.log.at(-1)!.payload.length).toBe(0);
    expect(queue.stored().map(({ offset }) => offset)).toEqual([BUCKET]);
  });

  test('of large messages becomes several rows', async () => {
    const queue = new CompactedQueue(AT_ONCE);
    for (let at = 0; at < 4; at += 1) {
      queue.produce([{ key: `large${at}`, body: 'x'.repeat(500_000) }]);
    }
    versions(queue, 'a', BUCKET - 4);
    const before = queue.read();
    const plan = (await planOfBucket(queue.source(), queue.view, 0))!;
    const first = await compactedPart(queue.source(), queue.view, plan, 0);
    // What the second one is to be made of still lies where it was.
    expect(first!.command.lowest).toBe(queue.rows.index[first!.command.replaced.length + 1]!.index);
    await queue.compact();
    const counts = queue.rows.index.map(({ count }) => count);
    expect(counts.length).toBe(2);
    expect(counts[0]! + counts[1]!).toBe(BUCKET);
    expect(queue.read()).toEqual(before);
    expect(queue.state.lateBucket(1, 0)?.compacted).toMatchObject({ left: 5 });
    // The log stays from the first of them on.
    expect(queue.state.lateBucket(1, 0)?.lowest).toBe(queue.rows.index[0]!.index);
  });

  test('stays as it is where an entry cannot be read', async () => {
    const queue = new CompactedQueue(AT_ONCE);
    versions(queue, 'a', BUCKET);
    const source = queue.source();
    const { host } = source;
    host.readEntry = (_, index, done) =>
      done(index === 9 ? new Error('gone') : undefined, queue.log[index - 1]);
    expect(await planOfBucket({ ...source, host }, queue.view, 0)).toBeUndefined();
    expect(queue.damaged).toEqual(['gone']);
  });
});

const lastOf = (key: number) => `k${key}${BUCKET / 8 - 1}`;

describe('a bucket of which most is shown', () => {
  test('stays where it is', async () => {
    const queue = new CompactedQueue(AT_ONCE);
    for (let at = 0; at < BUCKET; at += 1) queue.produce([{ key: `k${at}`, body: 'x' }]);
    await queue.compact();
    expect(queue.rows.index.length).toBe(BUCKET);
  });

  test('is not read again before something of it goes', async () => {
    const queue = new CompactedQueue(AT_ONCE);
    const some = (count: number, key: (at: number) => string) =>
      Array.from({ length: count }, (_, at) => ({ key: key(at), body: 'x' }));
    queue.produce(some(BUCKET - 1, (at) => `first ${at}`));
    // The only batch that ends in the second bucket: fewer messages than a bucket has room for.
    queue.produce([...some(500, (at) => `second ${at}`), ...some(300, () => 'again')]);
    queue.produce(some(400, (at) => `third ${at}`));
    const compaction = new Compaction();
    const reads: number[] = [];
    expect(queue.state.compactedKeys.liveIn(1, 1)).toBeLessThan(BUCKET / 2);
    const source = queue.source();
    const host = {
      ...source.host,
      readEntry: (...[shard, index, done]: Parameters<typeof source.host.readEntry>) => {
        reads.push(index);
        source.host.readEntry(shard, index, done);
      },
    };
    await compaction.run({ ...source, host });
    expect(reads).toEqual([3]);
    await compaction.run({ ...source, host });
    expect(reads).toEqual([3]);
    queue.produce(some(1, () => 'again'));
    await compaction.run({ ...source, host });
    expect(reads).toEqual([3, 3]);
  });
});

test('rows that cannot be read end nothing but the pass through their queue', async () => {
  const queue = new CompactedQueue(AT_ONCE);
  versions(queue, 'a', BUCKET);
  const source = queue.source();
  const offsetAtTime = () => Promise.reject(new Error('a row is damaged'));
  await new Compaction().run({ ...source, offsetAtTime });
  expect(queue.damaged).toEqual(['a row is damaged']);
  expect(queue.rows.index.length).toBe(BUCKET);
});

test('whoever decided by rows that are others now is not heard', async () => {
  const queue = new CompactedQueue(AT_ONCE);
  versions(queue, 'a', BUCKET);
  const plan = (await planOfBucket(queue.source(), queue.view, 0))!;
  const { command, payload } = (await compactedPart(queue.source(), queue.view, plan, 0))!;
  await queue.compact();
  const rows = [...queue.rows.index];
  expect(queue.apply(command, payload)).toEqual({ type: 'copied', moved: false });
  expect(queue.rows.index).toEqual(rows);
});

describe('a message without a body', () => {
  test('deletes its key, and is gone itself after a while', async () => {
    const queue = new CompactedQueue(AT_ONCE);
    queue.produce([{ key: 'a', body: 'x' }]);
    queue.produce([{ key: 'a', body: '' }]);
    expect(queue.read()).toMatchObject([{ key: 'a', body: '', offset: 1 }]);
    queue.timeMs += 1000;
    expect(queue.read()).toEqual([]);
    queue.produce([{ key: 'b', body: 'x' }]);
    expect(queue.state.counts().compactedKeys).toBe(1);
    expect(queue.read()).toMatchObject([{ key: 'b' }]);
    queue.produce([{ key: 'a', body: 'again' }]);
    expect(bodies(queue.read())).toEqual(['x', 'again']);
  });
});

test('what a random history leaves is what a Map says, compacted or not', async () => {
  const message = fc.record({
    key: fc.oneof(
      { weight: 20, arbitrary: fc.constantFrom('a', 'b', 'c', 'd', 'e', 'f') },
      { weight: 1, arbitrary: fc.nat(1000).map((key) => `rare ${key}`) },
    ),
    body: fc.constantFrom('', 'x', 'yy'),
  });
  const step = fc.oneof(
    { weight: 6, arbitrary: fc.array(message, { minLength: 1, maxLength: 400, size: 'max' }) },
    { weight: 2, arbitrary: fc.constantFrom('compact', 'reload') },
    { weight: 1, arbitrary: fc.nat(1500) },
  );
  await fc.assert(
    fc.asyncProperty(
      fc.array(step, { maxLength: 40, size: 'max' }),
      fc.nat(300),
      async (steps, minLagMs) => {
        const queue = new CompactedQueue({ minLagMs, tombstoneMs: 1000 });
        const model = new Model(minLagMs);
        for (const one of steps) {
          if (one === 'compact') await queue.compact();
          else if (one === 'reload') queue.reload();
          else if (typeof one === 'number') queue.timeMs += one;
          else {
            queue.produce(one);
            model.add(one, queue.timeMs, queue.log.length);
          }
          expect(queue.read()).toEqual(model.read(queue.timeMs));
        }
        expect(queue.damaged).toEqual([]);
      },
    ),
    { numRuns: 20, endOnFailure: true },
  );
}, 60_000);

/** All that was ever sent. */
class Model {
  readonly #all: ReadMessage[] = [];
  readonly #minLagMs: number;

  constructor(minLagMs: number) {
    this.#minLagMs = minLagMs;
  }

  add(messages: readonly Keyed[], storedAtMs: number, index: number): void {
    for (const [position, { body, key }] of messages.entries()) {
      const name = `${index}/${position}`;
      this.#all.push({ key, body, offset: this.#all.length, storedAtMs, name });
    }
  }

  read(nowMs: number): ReadMessage[] {
    const newest = new Map(this.#all.map((message) => [message.key, message]));
    return this.#all.filter((message) => {
      if (message.storedAtMs + this.#minLagMs > nowMs) return true;
      const isGone = message.body === '' && message.storedAtMs + 1000 <= nowMs;
      return newest.get(message.key) === message && !isGone;
    });
  }
}
