import { describe, expect, test } from 'vitest';
import type { LogStore } from '../../../raft/ports.ts';
import type { Entry } from '../../../raft/types.ts';
import type { QueueIndexRow } from '../../../src/broker/state-port.ts';
import type { FetchArguments, FetchOutcome } from '../../../src/shards/api.ts';
import { Fetcher, type FetchSource } from '../../../src/shards/fetcher.ts';
import { QueueReader } from '../../../src/shards/queue-reader.ts';
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
  /** Highest index that the store was asked for. */
  readThrough = 0;
  start = 0;
  storeError: Error | undefined;
  onStoreRead: () => void = () => undefined;

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
            }
          : undefined,
      readIndex: (_, done) => {
        this.confirmations++;
        done(this.confirmed === 'ok' ? { status: 'ok', index: 1 } : { status: 'notLeader' });
      },
    };
    return new Fetcher(source, this.#reader(), this.waiters);
  }

  #reader(): QueueReader {
    const between = (from: number, to: number) =>
      [...this.entries.values()].filter(({ index }) => index >= from && index <= to);
    const store: LogStore = {
      write: () => expect.unreachable(),
      read: (_shard, from, to, _bytes, done) => {
        this.storeReads++;
        this.readThrough = Math.max(this.readThrough, to);
        this.onStoreRead();
        done(this.storeError, this.storeError === undefined ? between(from, to) : []);
      },
    };
    const rows = {
      rowsFrom: (
        _shard: number,
        _queue: number,
        offset: number,
        limit: number,
        onRows: (error: Error | undefined, rows: readonly QueueIndexRow[]) => void,
      ) => {
        const first = this.rows.findIndex((row) => row.baseOffset + row.count > offset);
        onRows(undefined, first === -1 ? [] : this.rows.slice(first, first + limit));
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
