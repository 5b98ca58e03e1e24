/** Reading a compacted queue: what it shows by the state, whatever is left of it in the log. */
import fc from 'fast-check';
import { describe, expect, onTestFinished, test, vi } from 'vitest';
import { type Entry, EntryType } from '../../../raft/types.ts';
import { encodeCommand } from '../../../src/broker/command-codec.ts';
import type { Command, KeptRun } from '../../../src/broker/commands.ts';
import { createDataShard } from '../../../src/broker/data-shard.ts';
import { NEWEST_LEVEL } from '../../../src/broker/feature-level.ts';
import { bucketEnd, bucketOf } from '../../../src/broker/late-references.ts';
import { DATA_SHARD_LIMITS } from '../../../src/broker/limits.ts';
import type { QueueIndexRow, StateWriter } from '../../../src/broker/state-port.ts';
import type { MessageFilter } from '../../../src/filter/filter.ts';
import type { FetchArguments, FetchOutcome } from '../../../src/shards/api.ts';
import { Fetcher, type FetchSource } from '../../../src/shards/fetcher.ts';
import { firstKeptSince } from '../../../src/shards/kept-messages.ts';
import { QueueReader, type ReadStore, type RowSource } from '../../../src/shards/queue-reader.ts';
import { QueueWaiters } from '../../../src/shards/waiters.ts';

const SHARD = 3;
const QUEUE = 11;
const MIN_LAG_MS = 50;
const TOMBSTONE_MS = 200;

type Message = readonly [key: string, body?: string];

interface Sent {
  readonly offset: number;
  readonly key: string;
  readonly isTombstone: boolean;
  readonly field: Buffer;
  readonly storedAtMs: number;
  readonly firstIndex: number;
  readonly position: number;
}

const part = (tag: readonly number[], bytes: Buffer) =>
  Buffer.concat([Buffer.from([...tag, (bytes.length & 0x7f) | 0x80, bytes.length >> 7]), bytes]);

function fieldOf([key, body = '']: Message): Buffer {
  const parts = [part([0x0a], Buffer.from(key))];
  if (body !== '') parts.push(part([0x22], Buffer.from(body)));
  return part([0xc2, 0x3e], Buffer.concat(parts));
}

const endOf = ({ baseOffset, count }: { baseOffset: number; count: number }) => baseOffset + count;

/** A queue, its state, and all that was ever sent to it. */
class CompactedQueue {
  readonly sent: Sent[] = [];
  readonly rows: QueueIndexRow[] = [];
  readonly entries = new Map<number, Entry>();
  readonly waiters = new QueueWaiters(10);
  data = createDataShard(SHARD, DATA_SHARD_LIMITS, NEWEST_LEVEL);
  timeMs = 1000;
  isLeader = true;
  /** Asked for by readers; all of it lies in the log, not in memory. */
  entriesRead = 0;
  onStoreRead: () => void = () => undefined;
  #index = 0;

  constructor() {
    const compaction = { minLagMs: MIN_LAG_MS, tombstoneMs: TOMBSTONE_MS };
    this.#apply({ type: 'openQueue', queueId: QUEUE, topicId: '1', queue: 0, compaction });
  }

  get end(): number {
    return this.sent.length;
  }

  produce(...messages: Message[]): void {
    const fields = messages.map(fieldOf);
    const keys = messages.map(([key, body]) => ({ key, isTombstone: body === undefined }));
    const [firstIndex, storedAtMs] = [this.#index + 1, this.timeMs];
    for (const [position, field] of fields.entries()) {
      const place = { firstIndex, position, storedAtMs };
      this.sent.push({ offset: this.end, ...keys[position]!, field, ...place });
    }
    const what = { queueId: QUEUE, count: messages.length, durability: 1, keys } as const;
    const payload = Buffer.concat(fields);
    this.#apply({ type: 'produce', producer: undefined, ...what }, payload);
  }

  /** By the rule, told in another way. */
  shown(): Sent[] {
    const newest = new Map(this.sent.map((one) => [one.key, one]));
    return this.sent.filter((one) => {
      if (this.timeMs < one.storedAtMs + MIN_LAG_MS) return true;
      if (newest.get(one.key) !== one) return false;
      return !one.isTombstone || this.timeMs < one.storedAtMs + TOMBSTONE_MS;
    });
  }

  /** Row `first` and those after it in its bucket, at most so many, become one. */
  compact(first: number, most = this.rows.length): void {
    const bucket = bucketOf(endOf(this.rows[first]!) - 1);
    const stretch = this.rows.slice(first, first + most);
    const old = stretch.filter((row) => bucketOf(endOf(row) - 1) === bucket);
    const { queueId, storedAtMs, cumulativeBytes } = old.at(-1)!;
    const { baseOffset } = old[0]!;
    const count = endOf(old.at(-1)!) - baseOffset;
    const isIn = ({ offset }: Sent) => offset >= baseOffset && offset < baseOffset + count;
    const left = this.shown().filter(isIn);
    this.#apply(
      {
        type: 'compactRows',
        row: { queueId, baseOffset, count, storedAtMs, cumulativeBytes },
        replaced: old.slice(0, -1).map((row) => endOf(row) - 1),
        runs: runsOf(left),
        left: left.length,
        before: this.data.lateBucket(QUEUE, bucket)?.compacted?.at ?? 0,
        lowest: 1,
        until: Math.min(this.end, bucketEnd(bucket)),
      },
      Buffer.concat(left.map(({ field }) => field)),
    );
  }

  /** What no row needs goes. */
  trimLog(): void {
    const needed = new Set(this.rows.map(({ index }) => index));
    for (const index of this.entries.keys()) if (!needed.has(index)) this.entries.delete(index);
  }

  /** Those before row `first` are gone. */
  trimRows(first: number): void {
    const startOffset = this.rows[first]?.baseOffset ?? this.end;
    const trim = { queueId: QUEUE, startOffset, startIndex: 0 };
    this.#apply({ type: 'trim', queues: [trim], logTrim: 0 });
    this.rows.splice(0, first);
  }

  fetch(args: Partial<FetchArguments>): { outcome: FetchOutcome | undefined } {
    const given = { shard: SHARD, queueId: QUEUE, offset: 0, maxBytes: 1e6, maxMessages: 0 };
    const result: { outcome: FetchOutcome | undefined } = { outcome: undefined };
    const fetcher = new Fetcher(this.#source(), this.#reader(), this.waiters);
    fetcher.fetch({ ...given, waitMs: 0, linearizable: false, ...args }, (outcome) => {
      result.outcome = outcome;
    });
    return result;
  }

  #apply(command: Command, payload: Uint8Array = Buffer.alloc(0)): void {
    this.#index += 1;
    const head = encodeCommand(command);
    const at = { index: this.#index, term: 2, timeMs: this.timeMs, type: EntryType.command };
    const entry = { ...at, head, payload, bodyCrc: 0 };
    this.entries.set(entry.index, entry);
    const result = this.data.apply(entry, this.#writer());
    expect(result).not.toMatchObject({ moved: false });
    expect(result.type).not.toBe('refused');
  }

  #writer(): StateWriter {
    return {
      put: () => undefined,
      dropIndexBelow: () => undefined,
      putIndex: (row) => void this.rows.push(row),
      moveIndex: (row, replaced) => {
        const first = this.rows.findIndex(({ baseOffset }) => baseOffset === row.baseOffset);
        this.rows.splice(first, replaced.length + 1, row);
      },
    };
  }

  #source(): FetchSource {
    return {
      isReady: () => this.isLeader,
      leaderOf: () => 2,
      queue: (_, queueId) => this.data.queue(queueId),
      compactedKeys: () => this.data.compactedKeys,
      shardTimeMs: () => this.timeMs,
      readIndex: (_, done) => done({ status: 'ok', index: 1 }),
    };
  }

  #reader(): QueueReader {
    const rows: RowSource = {
      isRecent: () => false,
      rowsFrom: (_shard, _queue, offset, limit, onRows) => {
        const found = this.rows.filter((row) => endOf(row) > offset);
        onRows(undefined, found.slice(0, limit));
      },
    };
    const store: ReadStore = {
      isHeldUp: false,
      read: (_shard, from, to, maxBytes, done) => {
        this.onStoreRead();
        const found: Entry[] = [];
        let bytes = 0;
        for (let index = from; index <= to; index++) {
          const entry = this.entries.get(index);
          bytes += entry?.payload.length ?? 0;
          if (entry === undefined || (found.length > 0 && bytes > maxBytes)) break;
          found.push(entry);
        }
        this.entriesRead += found.length;
        const gone = Object.assign(new Error('gone'), { code: 'COMPACTED' });
        done(found.length === 0 ? gone : undefined, found);
        return () => false;
      },
    };
    return new QueueReader(rows, { cachedEntries: () => undefined }, store);
  }
}

/** Those that lay next to each other in one entry. */
function runsOf(left: readonly Sent[]): KeptRun[] {
  const runs: { -readonly [Field in keyof KeptRun]: KeptRun[Field] }[] = [];
  for (const { firstIndex, offset, position: firstPosition, storedAtMs } of left) {
    const run = runs.at(-1);
    if (run?.firstIndex === firstIndex && endOfRun(run) === offset) run.count += 1;
    else runs.push({ offset, count: 1, storedAtMs, firstIndex, firstPosition });
  }
  return runs;
}

const endOfRun = ({ offset, count }: KeptRun) => offset + count;

function ok(outcome: FetchOutcome | undefined): Extract<FetchOutcome, { status: 'ok' }> {
  if (outcome?.status !== 'ok') throw new Error(outcome?.status ?? 'it waits');
  return outcome;
}

/** One by one; the bytes are those of the fields, one after the other. */
function placesIn(outcome: FetchOutcome | undefined) {
  return ok(outcome).batches.flatMap(({ baseOffset, count, firstIndex, firstPosition, row }) =>
    Array.from({ length: count }, (_, at) => ({
      ...{ offset: baseOffset + at, firstIndex, position: firstPosition + at },
      storedAtMs: row.storedAtMs,
    })),
  );
}

const placesOf = (sent: readonly Sent[]) =>
  sent.map(({ firstIndex, offset, position, storedAtMs }) => ({
    ...{ offset, firstIndex, position, storedAtMs },
  }));

const offsets = (outcome: FetchOutcome | undefined) =>
  placesIn(outcome).map(({ offset }) => offset);

const bytesOf = (outcome: FetchOutcome | undefined) =>
  Buffer.concat(ok(outcome).batches.map(({ messages }) => messages));

/** Keys with an even number. */
const EVEN: MessageFilter = {
  matches: (bytes, start) => (bytes[start + 7]! - '0'.charCodeAt(0)) % 2 === 0,
};
const isEven = ({ key }: Sent) => Number(key) % 2 === 0;

const message = fc.tuple(
  fc.integer({ min: 0, max: 9 }).map(String),
  fc.option(fc.integer({ min: 1, max: 60 }), { nil: undefined, freq: 4 }),
);
const batch = fc.oneof(
  { weight: 4, arbitrary: fc.array(message, { minLength: 1, maxLength: 12 }) },
  { weight: 1, arbitrary: fc.array(message, { minLength: 300, maxLength: 500, size: 'max' }) },
);
const step = fc.oneof(
  fc.record({ send: batch }),
  fc.record({ passMs: fc.integer({ min: 1, max: 150 }) }),
  fc.record({ compact: fc.nat(), most: fc.integer({ min: 1, max: 12 }) }),
);
const history = fc.record({
  steps: fc.array(step, { minLength: 1, maxLength: 30, size: 'max' }),
  from: fc.double({ min: 0, max: 1, noNaN: true }),
  maxBytes: fc.oneof(fc.integer({ min: 1, max: 300 }), fc.integer({ min: 300, max: 20_000 })),
  maxMessages: fc.nat(40),
  isFiltered: fc.boolean(),
});

function replay(steps: readonly (typeof step extends fc.Arbitrary<infer Step> ? Step : never)[]) {
  const queue = new CompactedQueue();
  queue.produce(['0', 'first']);
  for (const one of steps) {
    if ('passMs' in one) queue.timeMs += one.passMs;
    else if ('compact' in one) queue.compact(one.compact % queue.rows.length, one.most);
    else {
      const bodyOf = (size: number) => 'b'.repeat(size);
      queue.produce(
        ...one.send.map(
          ([key, size]): Message => (size === undefined ? [key] : [key, bodyOf(size)]),
        ),
      );
    }
  }
  queue.trimLog();
  return queue;
}

describe('fetches of a compacted queue', () => {
  test('one after the other bring what is shown, once, each with its own place', () => {
    fc.assert(
      fc.property(history, ({ steps, from, maxBytes, maxMessages, isFiltered }) => {
        const queue = replay(steps);
        const start = Math.floor(from * queue.end);
        const isWanted = (one: Sent) => one.offset >= start && (!isFiltered || isEven(one));
        const wanted = queue.shown().filter(isWanted);
        const args = { maxBytes, maxMessages, filter: isFiltered ? EVEN : undefined };
        const places: object[] = [];
        const bytes: Buffer[] = [];
        for (let offset = start; offset < queue.end; ) {
          const { outcome } = queue.fetch({ offset, ...args });
          const found = placesIn(outcome);
          places.push(...found);
          bytes.push(bytesOf(outcome));
          if (maxMessages > 0) expect(found.length).toBeLessThanOrEqual(maxMessages);
          if (found.length > 1) expect(bytes.at(-1)!.length).toBeLessThanOrEqual(maxBytes);
          const { nextOffset } = ok(outcome);
          expect(nextOffset).toBeGreaterThan(offset);
          offset = nextOffset;
        }
        expect(places).toEqual(placesOf(wanted));
        const all = Buffer.concat(wanted.map(({ field }) => field));
        expect(Buffer.concat(bytes).equals(all)).toBe(true);
      }),
      { numRuns: 200 },
    );
  });

  test('within the lag all is read, then the newest of each key', () => {
    const queue = new CompactedQueue();
    queue.produce(['a', '1'], ['b', '1']);
    queue.produce(['a', '2'], ['c']);
    expect(offsets(queue.fetch({}).outcome)).toEqual([0, 1, 2, 3]);
    queue.timeMs += MIN_LAG_MS;
    const { outcome } = queue.fetch({});
    expect(offsets(outcome)).toEqual([1, 2, 3]);
    expect(ok(outcome)).toMatchObject({ nextOffset: 4, startOffset: 0, endOffset: 4 });
    queue.timeMs += TOMBSTONE_MS;
    expect(offsets(queue.fetch({}).outcome)).toEqual([1, 2]);
  });

  test('from the middle of what was left next to each other', () => {
    const queue = new CompactedQueue();
    queue.produce(['a', '1'], ['b', '1'], ['c', '1'], ['d', '1'], ['e', '1'], ['f', '1']);
    queue.produce(['a', '2'], ['e', '2']);
    queue.timeMs += MIN_LAG_MS;
    queue.compact(0);
    const { outcome } = queue.fetch({ offset: 2, maxMessages: 3 });
    expect(placesIn(outcome)).toEqual(placesOf(queue.shown().slice(1, 4)));
    expect(offsets(outcome)).toEqual([2, 3, 5]);
    expect(offsets(queue.fetch({ offset: 4 }).outcome)).toEqual([5, 6, 7]);
  });

  test('go on behind a row of which nothing is left', () => {
    const queue = new CompactedQueue();
    queue.produce(['a', '1']);
    queue.produce(['a', '2']);
    queue.produce(['a', '3'], ['b', '1']);
    queue.timeMs += MIN_LAG_MS;
    queue.compact(0, 2);
    const [row] = queue.rows;
    expect(queue.entries.get(row!.index)!.payload).toHaveLength(0);
    expect(offsets(queue.fetch({}).outcome)).toEqual([2, 3]);
    expect(offsets(queue.fetch({ offset: 1, maxBytes: 1 }).outcome)).toEqual([2]);
  });

  test('buckets of which nothing is shown are passed over unread, however many', () => {
    const queue = new CompactedQueue();
    const batchOf = (keys: number): Message[] =>
      Array.from({ length: keys }, (_, at) => [`${at}`, 'body']);
    for (let i = 0; i < 100; i++) queue.produce(...batchOf(1024));
    queue.produce(...batchOf(1024));
    queue.timeMs += MIN_LAG_MS;
    const { outcome } = queue.fetch({ maxMessages: 1000 });
    expect(offsets(outcome)).toHaveLength(1000);
    expect(ok(outcome).nextOffset).toBe(100 * 1024 + 1000);
    expect(queue.entriesRead).toBe(1);
  });

  test('rows of which little is left are many in one answer, whatever they were before', () => {
    const queue = new CompactedQueue();
    for (let i = 0; i < 40; i++) {
      // Each fills a bucket, and is the newest of one key.
      const repeated = Array.from({ length: 1023 }, (): Message => ['0', 'b'.repeat(100)]);
      queue.produce(...repeated, [`key ${i}`, 'kept']);
    }
    queue.timeMs += MIN_LAG_MS;
    for (let row = 0; row < 40; row++) queue.compact(row);
    const once = queue.rows[1]!.cumulativeBytes - queue.rows[0]!.cumulativeBytes;
    const { outcome } = queue.fetch({ maxBytes: Math.floor(once / 2) });
    expect(offsets(outcome)).toEqual(queue.shown().map(({ offset }) => offset));
    expect(ok(outcome).nextOffset).toBe(queue.end);
    expect(queue.entriesRead).toBe(40);
  });

  test('what is left and does not fit any more is left for the next one', () => {
    const queue = new CompactedQueue();
    queue.produce(['a', 'x'.repeat(50)]);
    queue.produce(['b', 'x'.repeat(50)], ['c', 'x'.repeat(50)]);
    const maxBytes = 2 * fieldOf(['a', 'x'.repeat(50)]).length;
    const { outcome } = queue.fetch({ maxBytes });
    expect(offsets(outcome)).toEqual([0]);
    expect(ok(outcome).nextOffset).toBe(1);
  });

  test('follow rows that became one while they were looked up', () => {
    const queue = new CompactedQueue();
    queue.produce(['a', '1'], ['b', '1']);
    queue.produce(['c', '1'], ['a', '2']);
    queue.timeMs += MIN_LAG_MS;
    queue.onStoreRead = () => {
      queue.onStoreRead = () => undefined;
      queue.compact(0);
      queue.trimLog();
    };
    expect(offsets(queue.fetch({ offset: 2 }).outcome)).toEqual([2, 3]);
    queue.entries.clear();
    expect(queue.fetch({ offset: 2 }).outcome?.status).toBe('damaged');
  });

  test('rows that went elsewhere later are no damage where nothing was left of the first', () => {
    const queue = new CompactedQueue();
    for (const key of ['a', 'b', 'c', 'a']) queue.produce([key, 'body']);
    queue.timeMs += MIN_LAG_MS;
    // The second row lies behind the third in the log, the first one behind both.
    queue.compact(1, 1);
    queue.compact(0, 1);
    queue.trimLog();
    let reads = 0;
    queue.onStoreRead = () => {
      reads += 1;
      if (reads !== 2) return;
      queue.compact(2, 1);
      queue.trimLog();
    };
    const { outcome } = queue.fetch({});
    expect(offsets(outcome)).toEqual([1]);
    expect(offsets(queue.fetch({ offset: ok(outcome).nextOffset }).outcome)).toEqual([2, 3]);
  });

  test('below the start they go on at the start: what lay there is hidden for good', () => {
    const queue = new CompactedQueue();
    queue.produce(['a', '1'], ['b', '1']);
    queue.produce(['b', '2']);
    queue.produce(['a', '2']);
    queue.timeMs += MIN_LAG_MS;
    queue.trimRows(1);
    for (const offset of [0, 1, 2]) {
      const { outcome } = queue.fetch({ offset });
      expect(offsets(outcome)).toEqual([2, 3]);
      expect(ok(outcome)).toMatchObject({ nextOffset: 4, startOffset: 2, endOffset: 4 });
    }
    expect(offsets(queue.fetch({ maxMessages: 1 }).outcome)).toEqual([2]);
    const range = { startOffset: 2, endOffset: 4 };
    expect(queue.fetch({ offset: 5 }).outcome).toEqual({ status: 'outOfRange', ...range });
  });

  test('below the start of an empty queue they wait, and go on at its end', () => {
    const queue = new CompactedQueue();
    queue.produce(['a']);
    queue.timeMs += TOMBSTONE_MS;
    queue.trimRows(1);
    expect(ok(queue.fetch({}).outcome)).toMatchObject({ batches: [], nextOffset: 1 });
    const waiting = queue.fetch({ waitMs: 1000 });
    expect([waiting.outcome, queue.waiters.count]).toEqual([undefined, 1]);
    queue.produce(['b', '1']);
    queue.waiters.wakeQueue(QUEUE, 'data');
    expect(offsets(waiting.outcome)).toEqual([1]);
  });

  test('rows that went while they were looked up are read from where the queue starts', () => {
    const queue = new CompactedQueue();
    queue.produce(['a', '1']);
    queue.produce(['a', '2']);
    queue.onStoreRead = () => {
      queue.onStoreRead = () => undefined;
      queue.trimRows(1);
      queue.trimLog();
    };
    expect(offsets(queue.fetch({}).outcome)).toEqual([1]);
  });

  test('rows that become one between two looks bring no message twice', () => {
    const queue = new CompactedQueue();
    for (let i = 0; i < 100; i++) queue.produce([`${i}`, 'body']);
    queue.timeMs += MIN_LAG_MS;
    // The rows looked up at first end within.
    queue.onStoreRead = () => {
      if (queue.rows.length === 100) queue.compact(40);
    };
    const { outcome } = queue.fetch({});
    expect(offsets(outcome)).toEqual(Array.from({ length: 100 }, (_, at) => at));
  });

  test('of a row that is many batches it is known what was stored since', () => {
    const queue = new CompactedQueue();
    queue.produce(['a', '1']);
    for (const body of ['1', '2']) {
      queue.timeMs += 100;
      queue.produce(['b', body]);
    }
    queue.timeMs += 100;
    queue.produce(['c', '1'], ['d', '1']);
    queue.produce(['d', '2']);
    queue.timeMs += MIN_LAG_MS;
    queue.compact(0, 4);
    const [row] = queue.rows;
    const since = (atMs: number) => firstKeptSince(row!, queue.entries.get(row!.index)!, atMs);
    expect([0, 1000, 1001, 1100, 1200, 1201, 1300, 1301].map(since)).toEqual([
      ...[0, 0, 2, 2, 2, 3, 3, 5],
    ]);
  });

  test('at the end of what is shown they wait', () => {
    vi.useFakeTimers();
    onTestFinished(() => void vi.useRealTimers());
    const queue = new CompactedQueue();
    queue.produce(['a', '1'], ['b', '1'], ['c']);
    queue.timeMs += TOMBSTONE_MS;
    const waiting = queue.fetch({ offset: 2, waitMs: 1000 });
    expect([waiting.outcome, queue.waiters.count]).toEqual([undefined, 1]);
    queue.produce(['a', '2']);
    queue.waiters.wakeQueue(QUEUE, 'data');
    expect(offsets(waiting.outcome)).toEqual([3]);
    const empty = queue.fetch({ offset: 4, waitMs: 1000 });
    vi.advanceTimersByTime(1001);
    expect(ok(empty.outcome)).toMatchObject({ batches: [], nextOffset: 4 });
  });

  test('nothing is said by keys of a state that another took the place of', () => {
    const queue = new CompactedQueue();
    queue.produce(['a', '1']);
    queue.timeMs += MIN_LAG_MS;
    queue.onStoreRead = () => {
      queue.data = createDataShard(SHARD, DATA_SHARD_LIMITS, NEWEST_LEVEL);
    };
    expect(queue.fetch({}).outcome).toEqual({ status: 'notLeader', leader: 2 });
  });
});
