/** Reads under way at once: what they hold, whose turn it is, and what those leave that give up. */
import { expect, test } from 'vitest';
import type { Entry } from '../../../raft/types.ts';
import type { QueueIndexRow } from '../../../src/broker/state-port.ts';
import type { ReadBatches } from '../../../src/shards/matching-messages.ts';
import { PacedReads } from '../../../src/shards/paced-reads.ts';
import { QueueReader, type RowSource } from '../../../src/shards/queue-reader.ts';
import { ReadTurns } from '../../../src/shards/read-turns.ts';

const KIB = 1024;
/** Of entries, which are one message each. */
const ENTRY_BYTES = 100 * KIB;
const ENTRIES = 20;
/** Rows from here on are in memory. */
const RECENT_FROM = 15;
/** A read of all counts for this, and 256 KiB of rows. */
const READ_BYTES = ENTRIES * ENTRY_BYTES + KIB;
const AT_ONCE_MAX = 4;

/** A queue on a disk that answers when the test says so. */
class Rig {
  readonly lookUps: (() => void)[] = [];
  readonly logReads: (() => void)[] = [];
  recentLookUps = 0;
  /** Names of reads, in the order in which they ended. */
  readonly ended: string[] = [];
  /** Entries in memory. */
  isCached = (index: number) => index > RECENT_FROM;
  readonly #rows: QueueIndexRow[] = [];
  readonly #entries: Entry[] = [];
  readonly #reader: QueueReader;

  constructor() {
    for (let at = 0; at < ENTRIES; at++) {
      const [index, term, storedAtMs] = [at + 1, 1, 5];
      const cumulativeBytes = index * ENTRY_BYTES;
      const row = { queueId: 7, baseOffset: at, count: 1, index, term, storedAtMs };
      this.#rows.push({ ...row, cumulativeBytes });
      const payload = new Uint8Array(ENTRY_BYTES);
      const head = new Uint8Array();
      this.#entries.push({ index, term, timeMs: 5, type: 1, head, payload, bodyCrc: 0 });
    }
    const turns = new ReadTurns(AT_ONCE_MAX * (READ_BYTES + 4096 * 256));
    const flushes = { isWriting: false, onFlushed: () => undefined };
    const log = new PacedReads({ read: (...request) => this.#readLog(...request) }, flushes);
    const cachedEntries = (_: number, from: number, to: number) => {
      if (!this.isCached(from)) return undefined;
      return this.#entries.slice(from - 1, to).filter(({ index }) => this.isCached(index));
    };
    this.#reader = new QueueReader(this.#rowSource(), { cachedEntries }, log, turns);
  }

  #rowSource(): RowSource {
    const isRecent = (_: number, offset: number) => offset >= RECENT_FROM;
    return {
      isRecent,
      rowsFrom: (_shard, queueId, offset, limit, onRows) => {
        const answer = () => onRows(undefined, this.#rows.slice(offset, offset + limit));
        if (!isRecent(queueId, offset)) this.lookUps.push(answer);
        else {
          this.recentLookUps += 1;
          answer();
        }
      },
    };
  }

  #readLog(...[, from, to, maxBytes, onEntries]: Parameters<PacedReads['read']>): void {
    const fit = Math.floor(maxBytes / ENTRY_BYTES);
    const entries = this.#entries.slice(from - 1, Math.min(to, from - 1 + fit));
    this.logReads.push(() => onEntries(undefined, entries));
  }

  read(name: string, offset = 0, onEnd: (read: ReadBatches) => void = () => undefined) {
    const request = { shard: 1, queueId: 7, offset, maxBytes: READ_BYTES, maxMessages: 0 };
    const reading = this.#reader.reading(request, (error, read) => {
      expect(error).toBeUndefined();
      this.ended.push(name);
      onEnd(read);
    });
    reading.start();
    return reading;
  }

  /** Rows of neighbours point at each other's entries, as those do that were half once. */
  shuffle(offsets: readonly number[]): void {
    const rows = offsets.map((offset) => this.#rows[offset]!);
    const first = Math.min(...offsets);
    for (const [at, { index }] of rows.entries()) {
      this.#rows[first + at] = { ...this.#rows[first + at]!, index };
    }
  }

  /** The disk answers until nobody asks any more. */
  runDry(): void {
    for (;;) {
      const answer = this.lookUps.shift() ?? this.logReads.shift();
      if (answer === undefined) return;
      answer();
    }
  }
}

const names = (count: number) => Array.from({ length: count }, (_, at) => `read ${at}`);

test('however many are called, so many ask the disk at once; all are answered, in order', () => {
  const rig = new Rig();
  let most = 0;
  const all = names(200);
  for (const name of all) {
    rig.read(name, 0, ({ nextOffset }) => {
      most = Math.max(most, rig.lookUps.length);
      expect(nextOffset).toBe(ENTRIES);
    });
  }
  expect(rig.lookUps.length).toBe(AT_ONCE_MAX);
  rig.runDry();
  expect(rig.ended).toEqual(all);
  expect(most).toBeLessThanOrEqual(AT_ONCE_MAX);
});

test('what is in memory is answered at once, whoever waits for the disk', () => {
  const rig = new Rig();
  for (const name of names(200)) rig.read(name);
  rig.read('recent', RECENT_FROM);
  expect(rig.ended).toEqual(['recent']);
});

test('one that has something of an answer gives that instead of waiting for its turn', () => {
  const rig = new Rig();
  const inDisorder = [2, 1, 0].map((at) => RECENT_FROM + at);
  rig.isCached = (index) => index - 1 === inDisorder[0];
  for (const name of names(200)) rig.read(name);
  rig.shuffle(inDisorder);
  rig.read('part', RECENT_FROM, ({ batches, nextOffset }) => {
    expect([batches.length, nextOffset]).toEqual([1, RECENT_FROM + 1]);
  });
  expect(rig.ended).toEqual(['part']);
});

test('one that finds only its rows in memory does not keep them while it waits', () => {
  const rig = new Rig();
  rig.isCached = () => false;
  for (const name of names(200)) rig.read(name);
  rig.read('last', RECENT_FROM, ({ batches }) => {
    expect(batches.map(({ baseOffset }) => baseOffset)).toEqual([15, 16, 17, 18, 19]);
  });
  expect([rig.recentLookUps, rig.logReads.length]).toEqual([1, 0]);
  rig.runDry();
  expect([rig.recentLookUps, rig.ended.at(-1)]).toEqual([2, 'last']);
});

test('those that give up while they wait never begin', () => {
  const rig = new Rig();
  const readings = names(200).map((name) => rig.read(name));
  rig.read('last');
  for (const reading of readings.slice(AT_ONCE_MAX)) reading.cancel();
  for (const answer of rig.lookUps.splice(0)) answer();
  const asked = rig.lookUps.length + rig.logReads.length;
  expect(asked).toBeLessThanOrEqual(AT_ONCE_MAX);
  rig.runDry();
  expect(rig.ended).toEqual([...names(AT_ONCE_MAX), 'last']);
});

test('one that gives up in the middle asks for nothing more, and the next has its turn', () => {
  const rig = new Rig();
  const [first, second, third] = names(AT_ONCE_MAX).map((name) => rig.read(name));
  rig.read('next');
  // While its rows are looked up: they keep their room until they are here.
  first!.cancel();
  expect(rig.lookUps.length).toBe(AT_ONCE_MAX);
  for (const answer of rig.lookUps.splice(0)) answer();
  expect([rig.lookUps.length, rig.logReads.length]).toEqual([1, 2]);
  rig.read('after');
  expect(rig.lookUps.length).toBe(1);
  // While the log is read for it, and while it waits for the log.
  second!.cancel();
  expect(rig.lookUps.length).toBe(1);
  rig.logReads.shift()!();
  expect(rig.lookUps.length).toBe(2);
  expect(rig.logReads.length).toBe(2);
  rig.read('last');
  third!.cancel();
  rig.runDry();
  expect(rig.ended).toEqual(['read 3', 'next', 'after', 'last']);
});

test('one that gives up before the log is asked for it is taken out at once', () => {
  const rig = new Rig();
  const readings = names(AT_ONCE_MAX).map((name) => rig.read(name));
  rig.read('next');
  for (const answer of rig.lookUps.splice(0)) answer();
  expect([rig.lookUps.length, rig.logReads.length]).toEqual([0, 2]);
  readings.at(-1)!.cancel();
  expect(rig.lookUps.length).toBe(1);
  rig.runDry();
  expect(rig.ended).toEqual(['read 0', 'read 1', 'read 2', 'next']);
});
