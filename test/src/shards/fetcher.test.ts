import fc from 'fast-check';
import { describe, expect, onTestFinished, test, vi } from 'vitest';
import type { Entry } from '../../../raft/types.ts';
import type { QueueIndexRow } from '../../../src/broker/state-port.ts';
import type { MessageFilter } from '../../../src/filter/filter.ts';
import type { FetchArguments, FetchOutcome } from '../../../src/shards/api.ts';
import { Fetcher, type FetchSource } from '../../../src/shards/fetcher.ts';
import { QueueReader, type ReadStore } from '../../../src/shards/queue-reader.ts';
import { QueueWaiters } from '../../../src/shards/waiters.ts';

const SHARD = 3;
const QUEUE = 11;

function messages(...texts: string[]): Buffer {
  const field = (text: string) =>
    Buffer.concat([Buffer.from([0xc2, 0x3e, text.length]), Buffer.from(text)]);
  return Buffer.concat(texts.map(field));
}

/** A shard with one queue, its log half in memory and half in the store. */
class Rig {
  readonly entries = new Map<number, Entry>();
  readonly rows: QueueIndexRow[] = [];
  readonly waiters = new QueueWaiters(10);
  ready = true;
  confirmed: 'ok' | 'notLeader' = 'ok';
  confirmations = 0;
  cachedFrom = 1;
  storeReads = 0;
  /** Index rows that were looked up. */
  rowReads = 0;
  entriesRead = 0;
  /** Highest index that the store was asked for. */
  readThrough = 0;
  start = 0;
  storeError: Error | undefined;
  isHeldUp = false;
  onStoreRead: () => void = () => undefined;
  whenRead: (answer: () => void) => void = (answer) => answer();

  add(index: number, ...texts: string[]): void {
    const payload = messages(...texts);
    const head = new Uint8Array(0);
    this.entries.set(index, { index, term: 2, type: 1, timeMs: 5, head, payload, bodyCrc: 0 });
    const last = this.rows.at(-1);
    this.rows.push({
      queueId: QUEUE,
      baseOffset: this.end,
      count: texts.length,
      index,
      term: 2,
      storedAtMs: 5,
      cumulativeBytes: (last?.cumulativeBytes ?? 0) + payload.length,
    });
  }

  /** The last batch becomes so large, of one message. */
  grow(bytes: number): void {
    const row = this.rows.pop()!;
    const entry = this.entries.get(row.index)!;
    const payload = Buffer.alloc(bytes);
    const length = bytes - 6;
    const digits = [0, 7, 14].map((shift) => ((length >> shift) & 0x7f) | 0x80);
    payload.set([0xc2, 0x3e, ...digits, length >> 21]);
    this.entries.set(row.index, { ...entry, payload });
    const cumulativeBytes = row.cumulativeBytes - entry.payload.length + bytes;
    this.rows.push({ ...row, cumulativeBytes });
  }

  get end(): number {
    const last = this.rows.at(-1);
    return last === undefined ? 0 : last.baseOffset + last.count;
  }

  fetcher(): Fetcher {
    const source: FetchSource = {
      isReady: () => this.ready,
      leaderOf: () => 2,
      queue: (_, queueId) =>
        queueId === QUEUE
          ? {
              queueId,
              topicId: '1',
              queue: 0,
              open: true,
              startOffset: this.start,
              endOffset: this.end,
              cumulativeBytes: 0,
              minQueueEpoch: 0,
              compaction: undefined,
            }
          : undefined,
      compactedKeys: () => undefined,
      shardTimeMs: () => 0,
      readIndex: (_, done) => {
        this.confirmations++;
        done(this.confirmed === 'ok' ? { status: 'ok', index: 1 } : { status: 'notLeader' });
      },
    };
    return new Fetcher(source, this.#reader(), this.waiters);
  }

  #reader(): QueueReader {
    const between = (from: number, to: number) =>
      [...this.entries.values()]
        .filter(({ index }) => index >= from && index <= to)
        .sort((a, b) => a.index - b.index);
    const rig = this;
    const store: ReadStore = {
      get isHeldUp() {
        return rig.isHeldUp;
      },
      read: (_shard, from, to, bytes, done) => {
        this.storeReads++;
        this.readThrough = Math.max(this.readThrough, to);
        this.onStoreRead();
        const read = this.storeError === undefined ? fitting(between(from, to), bytes) : [];
        this.entriesRead += read.length;
        this.whenRead(() => done(this.storeError, read));
        return () => false;
      },
    };
    const rows = {
      isRecent: () => false,
      rowsFrom: (
        _shard: number,
        _queue: number,
        offset: number,
        limit: number,
        onRows: (error: Error | undefined, rows: readonly QueueIndexRow[]) => void,
      ) => {
        const first = this.rows.findIndex((row) => row.baseOffset + row.count > offset);
        const found = first === -1 ? [] : this.rows.slice(first, first + limit);
        this.rowReads += found.length;
        onRows(undefined, found);
      },
    };
    const tail = {
      cachedEntries: (_shard: number, from: number, to: number) =>
        from < this.cachedFrom ? undefined : between(from, to),
    };
    return new QueueReader(rows, tail, store);
  }

  fetch(args: Partial<FetchArguments>): { outcome: FetchOutcome | undefined; cancel(): void } {
    const result: { outcome: FetchOutcome | undefined; cancel(): void } = {
      outcome: undefined,
      cancel: () => call.cancel(),
    };
    const call = this.fetcher().fetch(
      {
        shard: SHARD,
        queueId: QUEUE,
        offset: 0,
        maxBytes: 1000,
        maxMessages: 0,
        waitMs: 0,
        linearizable: false,
        ...args,
      },
      (outcome) => {
        expect(result.outcome).toBeUndefined();
        result.outcome = outcome;
      },
    );
    return result;
  }
}

/** At least one, then as many as fit. */
function fitting(entries: readonly Entry[], maxBytes: number): readonly Entry[] {
  let bytes = 0;
  const end = entries.findIndex(({ payload }) => {
    bytes += payload.length;
    return bytes > maxBytes;
  });
  return end === -1 ? entries : entries.slice(0, Math.max(1, end));
}

function text(outcome: FetchOutcome | undefined): string[] {
  if (outcome?.status !== 'ok') return [outcome?.status ?? 'waiting'];
  return outcome.batches.map((b) => `${b.baseOffset}+${b.count} ${Buffer.from(b.messages)}`);
}

function rigWithThree(): Rig {
  const rig = new Rig();
  rig.add(4, 'aa', 'bb', 'cc');
  rig.add(6, 'dd');
  rig.add(90, 'ee', 'ff');
  return rig;
}

/** Each at most some places from where it was: as half messages are committed. */
function shuffledNearby(indexes: readonly number[], seed: number): number[] {
  let state = seed >>> 0;
  const keyed = indexes.map((index, at) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return { index, place: at + (state % 16) };
  });
  return keyed.sort((a, b) => a.place - b.place).map(({ index }) => index);
}

describe('fetch', () => {
  test('reads whole batches, from memory and from the store alike', () => {
    const rig = rigWithThree();
    const all = text(rig.fetch({}).outcome);
    expect(all.length).toBe(3);
    expect(rig.storeReads).toBe(0);
    rig.cachedFrom = 90;
    expect(text(rig.fetch({}).outcome)).toEqual(all);
    expect(rig.storeReads).toBe(1);
  });

  test('starts inside a batch and stops inside one', () => {
    const rig = rigWithThree();
    const { outcome } = rig.fetch({ offset: 1, maxMessages: 4 });
    expect(outcome).toMatchObject({ nextOffset: 5, startOffset: 0, endOffset: 6 });
    expect(text(outcome)).toEqual([
      `1+2 ${messages('bb', 'cc')}`,
      `3+1 ${messages('dd')}`,
      `4+1 ${messages('ee')}`,
    ]);
    if (outcome?.status === 'ok') expect(outcome.batches[0]?.firstPosition).toBe(1);
  });

  test('follows a batch that was appended again while it was looked up', () => {
    const rig = rigWithThree();
    rig.cachedFrom = 90;
    const [first] = rig.rows;
    const gone = rig.entries.get(first!.index)!;
    const moveOn = () => {
      rig.entries.set(80, { ...gone, index: 80 });
      rig.rows[0] = { ...first!, index: 80 };
    };
    rig.entries.delete(first!.index);
    rig.onStoreRead = () => {
      rig.onStoreRead = () => undefined;
      moveOn();
    };
    const { outcome } = rig.fetch({ maxMessages: 1 });
    expect(outcome).toMatchObject({ status: 'ok', nextOffset: 1 });
    rig.entries.delete(80);
    expect(rig.fetch({}).outcome?.status).not.toBe('ok');
  });

  test('makes progress though one message is larger than maxBytes', () => {
    const rig = rigWithThree();
    expect(text(rig.fetch({ maxBytes: 1 }).outcome)).toEqual([`0+1 ${messages('aa')}`]);
  });

  test('a batch that does not fit any more is left for the next fetch, unread', () => {
    const rig = rigWithThree();
    rig.cachedFrom = 1000;
    const first = messages('aa', 'bb', 'cc').length;
    // One message of the third batch would fit.
    const { outcome } = rig.fetch({ maxBytes: first + 5 + 5 });
    expect(text(outcome)).toEqual([`0+3 ${messages('aa', 'bb', 'cc')}`, `3+1 ${messages('dd')}`]);
    expect([rig.storeReads, rig.readThrough]).toEqual([1, 6]);
    expect(text(rig.fetch({ maxBytes: first + 4 }).outcome)).toHaveLength(1);
  });

  test('batches that lie scattered in the log are read a few hundred at a time', () => {
    const rig = new Rig();
    const count = 600;
    for (let i = 0; i < count; i++) rig.add(100 * (count - i), `${i}`);
    rig.cachedFrom = Number.MAX_SAFE_INTEGER;
    const maxBytes = 1_000_000;
    const first = rig.fetch({ maxBytes }).outcome;
    expect(rig.storeReads).toBe(256);
    expect(first).toMatchObject({ status: 'ok', nextOffset: 256, endOffset: count });
    const rest = rig.fetch({ offset: 256, maxBytes }).outcome;
    expect(rest).toMatchObject({ status: 'ok', nextOffset: 512 });
  });

  test('batches in another order than in the log are read in that of the log', () => {
    const rig = new Rig();
    const indexes = Array.from({ length: 200 }, (_, at) => 10 + 2 * (at ^ 5));
    for (const index of indexes) rig.add(index, `${index}`);
    rig.cachedFrom = Number.MAX_SAFE_INTEGER;
    const wanted = indexes.map((index, offset) => `${offset}+1 ${messages(`${index}`)}`);
    expect(text(rig.fetch({ maxBytes: 1_000_000 }).outcome)).toEqual(wanted);
    // The first one, then the rest of 64, 64 more, and the 72 that are left.
    expect(rig.storeReads).toBeLessThanOrEqual(4);
  });

  test('what lies between in the log and does not fit is not cut to fit', () => {
    const rig = new Rig();
    rig.add(10, 'aa');
    rig.add(12, 'bb');
    rig.add(11, 'cc', 'dd');
    rig.cachedFrom = Number.MAX_SAFE_INTEGER;
    const maxBytes = 3 * messages('aa').length;
    const read = text(rig.fetch({ maxBytes }).outcome);
    expect(read).toEqual([`0+1 ${messages('aa')}`, `1+1 ${messages('bb')}`]);
  });

  test('large entries of others in between are stepped over, each of ours is read once', () => {
    const rig = new Rig();
    for (const index of [1, 10, 14, 18, 1000]) rig.add(index, `${index}`);
    for (const index of [11, 12, 13, 15, 16, 17]) {
      const payload = Buffer.alloc(100_000);
      rig.entries.set(index, { ...rig.entries.get(1)!, index, payload });
    }
    rig.cachedFrom = Number.MAX_SAFE_INTEGER;
    const { outcome } = rig.fetch({ maxBytes: 1_000_000 });
    expect(outcome).toMatchObject({ status: 'ok', nextOffset: 5 });
    expect([rig.storeReads, rig.entriesRead]).toEqual([5, 5]);
  });

  test('what was read is answered where the rest would have to wait for appends', () => {
    const rig = new Rig();
    for (let index = 1; index <= 30; index++) {
      rig.add(index, 'x');
      rig.grow(100_000);
    }
    rig.cachedFrom = Number.MAX_SAFE_INTEGER;
    rig.isHeldUp = true;
    const held = rig.fetch({ maxBytes: 2_000_000 }).outcome;
    expect(held).toMatchObject({ status: 'ok', nextOffset: 3 });
    rig.cachedFrom = 2;
    expect(rig.fetch({ offset: 3, maxBytes: 2_000_000 }).outcome).toMatchObject({ nextOffset: 23 });
    rig.cachedFrom = Number.MAX_SAFE_INTEGER;
    rig.isHeldUp = false;
    const free = rig.fetch({ offset: 3, maxBytes: 2_000_000 }).outcome;
    expect(free).toMatchObject({ status: 'ok', nextOffset: 23 });
  });

  test('a few rows are looked up where a few batches fill the answer', () => {
    const rig = new Rig();
    for (let i = 0; i < 500; i++) rig.add(i + 1, 'x'.repeat(100));
    const { outcome } = rig.fetch({ maxBytes: 105 });
    expect(outcome).toMatchObject({ nextOffset: 1 });
    expect(rig.rowReads).toBe(64);
  });

  test('one fetch after the other brings every message once, in order, whatever lies where', () => {
    const given = fc.record({
      gaps: fc.array(fc.integer({ min: 1, max: 12 }), { minLength: 1, maxLength: 150 }),
      sizes: fc.array(fc.integer({ min: 1, max: 90 }), { minLength: 1, maxLength: 10 }),
      seed: fc.integer(),
      cached: fc.double({ min: 0, max: 1, noNaN: true }),
      limits: fc.record({ maxBytes: fc.integer({ min: 1, max: 4000 }), maxMessages: fc.nat(50) }),
    });
    fc.assert(
      fc.property(given, ({ gaps, sizes, seed, cached, limits }) => {
        const rig = new Rig();
        let last = 0;
        const indexes = gaps.map((gap) => (last += gap));
        const shuffled = shuffledNearby(indexes, seed);
        shuffled.forEach((index, at) => {
          const size = sizes[at % sizes.length]!;
          rig.add(index, `${index}`.padEnd(size, '.'), ...(at % 3 === 0 ? ['b', 'c'] : []));
        });
        rig.cachedFrom = Math.floor(cached * last);
        let offset = 0;
        let read = '';
        while (offset < rig.end) {
          const { outcome } = rig.fetch({ offset, ...limits });
          if (outcome?.status !== 'ok') throw new Error(`${outcome?.status} at ${offset}`);
          const bytes = outcome.batches.reduce((sum, one) => sum + one.messages.length, 0);
          const count = outcome.batches.reduce((sum, one) => sum + one.count, 0);
          if (count > 1) expect(bytes).toBeLessThanOrEqual(limits.maxBytes);
          if (limits.maxMessages > 0) expect(count).toBeLessThanOrEqual(limits.maxMessages);
          expect(outcome.nextOffset).toBe(offset + count);
          expect(count).toBeGreaterThan(0);
          for (const one of outcome.batches) read += Buffer.from(one.messages);
          offset += count;
        }
        const all = shuffled.map((index) => `${Buffer.from(rig.entries.get(index)!.payload)}`);
        expect(read).toBe(all.join(''));
      }),
    );
  });

  test('what lies past maxMessages is not read', () => {
    const rig = rigWithThree();
    rig.cachedFrom = 1000;
    expect(text(rig.fetch({ maxMessages: 2 }).outcome)).toEqual([`0+2 ${messages('aa', 'bb')}`]);
    expect(rig.readThrough).toBe(4);
  });

  test('at the end: empty at once, or waits for data', () => {
    const rig = rigWithThree();
    expect(rig.fetch({ offset: 6 }).outcome).toMatchObject({ status: 'ok', nextOffset: 6 });
    const waiting = rig.fetch({ offset: 6, waitMs: 1000 });
    expect(waiting.outcome).toBeUndefined();
    rig.add(91, 'gg');
    rig.waiters.wakeQueue(QUEUE, 'data');
    expect(text(waiting.outcome)).toEqual([`6+1 ${messages('gg')}`]);
  });

  test('a cancelled wait leaves no waiter', () => {
    const rig = rigWithThree();
    const waiting = rig.fetch({ offset: 6, waitMs: 1000 });
    waiting.cancel();
    expect(waiting.outcome).toEqual({ status: 'cancelled' });
    expect(rig.waiters.count).toBe(0);
  });

  test('a cancelled fetch reads no further', () => {
    const rig = new Rig();
    for (let index = 1; index <= 10; index++) {
      rig.add(index, 'x');
      rig.grow(100_000);
    }
    rig.cachedFrom = Number.MAX_SAFE_INTEGER;
    const held: (() => void)[] = [];
    rig.whenRead = (answer) => void held.push(answer);
    const call = rig.fetch({ maxBytes: 1_000_000 });
    held.shift()!();
    expect([call.outcome, rig.storeReads]).toEqual([undefined, 2]);
    call.cancel();
    held.shift()!();
    expect([call.outcome, rig.storeReads]).toEqual([{ status: 'cancelled' }, 2]);
  });

  test('a wait ends with the leadership', () => {
    const rig = rigWithThree();
    const waiting = rig.fetch({ offset: 6, waitMs: 1000 });
    rig.ready = false;
    rig.waiters.wakeShard(SHARD, 'deposed');
    expect(waiting.outcome).toEqual({ status: 'notLeader', leader: 2 });
  });

  test('below the start is said at once, past the end only by a confirmed leader', () => {
    const rig = rigWithThree();
    rig.start = 3;
    const range = { status: 'outOfRange', startOffset: 3, endOffset: 6 };
    expect(rig.fetch({ offset: 2 }).outcome).toEqual(range);
    expect(rig.confirmations).toBe(0);
    expect(rig.fetch({ offset: 7 }).outcome).toEqual(range);
    expect(rig.confirmations).toBe(1);
    rig.confirmed = 'notLeader';
    expect(rig.fetch({ offset: 7 }).outcome).toMatchObject({ status: 'notLeader' });
  });

  test('damage is reported, never skipped', () => {
    const rig = rigWithThree();
    rig.cachedFrom = 1000;
    rig.storeError = Object.assign(new Error('CRC'), { code: 'DATA_LOSS' });
    expect(rig.fetch({}).outcome).toEqual({ status: 'damaged', message: 'CRC' });
    rig.storeError = undefined;
    rig.entries.set(4, { ...(rig.entries.get(4) as Entry), term: 1 });
    expect(rig.fetch({}).outcome).toMatchObject({ status: 'damaged' });
  });

  test('what was trimmed while the disk was read is out of range, not damage', () => {
    const rig = rigWithThree();
    rig.cachedFrom = 1000;
    rig.storeError = Object.assign(new Error('gone'), { code: 'COMPACTED' });
    rig.onStoreRead = () => {
      rig.start = 4;
    };
    expect(rig.fetch({}).outcome).toMatchObject({ status: 'outOfRange', startOffset: 4 });
  });

  test('what a snapshot took away while the disk was read is for the leader to answer', () => {
    const rig = rigWithThree();
    rig.cachedFrom = 1000;
    rig.storeError = new Error('no such entry');
    rig.onStoreRead = () => {
      rig.ready = false;
    };
    expect(rig.fetch({}).outcome).toEqual({ status: 'notLeader', leader: 2 });
  });

  test('an unknown queue is not open', () => {
    expect(rigWithThree().fetch({ queueId: 12 }).outcome).toEqual({ status: 'queueNotOpen' });
  });
});

describe('a fetch with a filter', () => {
  /** Of messages `aa`, `bb`, … these. */
  const only = (...texts: string[]): MessageFilter => ({
    matches: (bytes, start, end) =>
      texts.includes(Buffer.from(bytes.subarray(start + 3, end)).toString()),
  });

  test('brings what matches, with its offsets, and goes past the rest', () => {
    const { outcome } = rigWithThree().fetch({ filter: only('aa', 'cc', 'ee') });
    expect(text(outcome)).toEqual([
      `0+1 ${messages('aa')}`,
      `2+1 ${messages('cc')}`,
      `4+1 ${messages('ee')}`,
    ]);
    expect(outcome).toMatchObject({ nextOffset: 6, endOffset: 6 });
  });

  test('maxMessages counts what matches; the next fetch goes on behind the last', () => {
    const rig = rigWithThree();
    const filter = only('bb', 'ee', 'ff');
    const first = rig.fetch({ filter, maxMessages: 2 }).outcome;
    expect(text(first)).toEqual([`1+1 ${messages('bb')}`, `4+1 ${messages('ee')}`]);
    expect(first).toMatchObject({ nextOffset: 5 });
    const rest = rig.fetch({ filter, maxMessages: 2, offset: 5 }).outcome;
    expect(text(rest)).toEqual([`5+1 ${messages('ff')}`]);
  });

  test('where nothing of what was read matches, it is empty and says where to go on', () => {
    const rig = rigWithThree();
    const first = rig.fetch({ filter: only('ff'), maxBytes: 10, waitMs: 60_000 }).outcome;
    expect(first).toMatchObject({ status: 'ok', batches: [], nextOffset: 2, endOffset: 6 });
    // One message is asked for: so many are looked at, and no more.
    for (let i = 0; i < 200; i++) rig.add(100 + i, 'xx');
    const one = rig.fetch({ filter: only(), maxMessages: 1, maxBytes: 1_000_000 }).outcome;
    expect(one).toMatchObject({ batches: [], nextOffset: 128, endOffset: 206 });
  });

  test('at the end it waits on through what does not match, no longer than was asked for', () => {
    vi.useFakeTimers();
    onTestFinished(() => void vi.useRealTimers());
    const rig = rigWithThree();
    const filter = only('yy');
    const found = rig.fetch({ filter, waitMs: 1000 });
    const late = rig.fetch({ filter, waitMs: 1000 });
    expect([found.outcome, rig.waiters.count]).toEqual([undefined, 2]);
    vi.advanceTimersByTime(600);
    rig.add(91, 'xx');
    rig.waiters.wakeQueue(QUEUE, 'data');
    expect([found.outcome, rig.waiters.count]).toEqual([undefined, 2]);
    late.cancel();
    vi.advanceTimersByTime(300);
    rig.add(92, 'xx', 'yy');
    rig.waiters.wakeQueue(QUEUE, 'data');
    expect(text(found.outcome)).toEqual([`8+1 ${messages('yy')}`]);

    const empty = rig.fetch({ filter, offset: 9, waitMs: 1000 });
    vi.advanceTimersByTime(600);
    rig.add(93, 'xx');
    rig.waiters.wakeQueue(QUEUE, 'data');
    vi.advanceTimersByTime(399);
    expect(empty.outcome).toBeUndefined();
    vi.advanceTimersByTime(2);
    expect(empty.outcome).toMatchObject({ batches: [], nextOffset: 10, endOffset: 10 });
    expect(rig.waiters.count).toBe(0);
  });

  test('it looks at a mebibyte at a time, however much is asked for', () => {
    const rig = new Rig();
    for (let i = 0; i < 3; i++) {
      rig.add(10 + i, 'x');
      rig.grow(600_000);
    }
    const maxBytes = 16_000_000;
    expect(rig.fetch({ maxBytes, filter: { matches: () => false } }).outcome).toMatchObject({
      ...{ status: 'ok', batches: [], nextOffset: 1, endOffset: 3 },
    });
    expect(rig.fetch({ maxBytes }).outcome).toMatchObject({ nextOffset: 3 });
  });

  test('without a wait it answers at once', () => {
    const { outcome } = rigWithThree().fetch({ filter: only('zz') });
    expect(outcome).toMatchObject({ status: 'ok', batches: [], nextOffset: 6, endOffset: 6 });
  });
});
