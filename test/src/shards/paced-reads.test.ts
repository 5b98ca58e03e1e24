import fc from 'fast-check';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import type { Entry } from '../../../raft/types.ts';
import {
  PacedReads,
  READ_BYTES_PER_FLUSH,
  READS_AT_ONCE_MAX,
  WRITING_LASTS_MS,
} from '../../../src/shards/paced-reads.ts';

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'] });
});

afterEach(() => {
  vi.useRealTimers();
});

function entryOf(bytes: number): Entry {
  const payload = { length: bytes } as Uint8Array;
  return { index: 1, term: 1, timeMs: 0, head: new Uint8Array(), payload, bodyCrc: 0 } as Entry;
}

/** A log whose reads, of one entry each, and flushes end when the test says so. */
class HeldLog {
  isWriting = false;
  flushed: () => void = () => undefined;
  readonly underWay: (() => void)[] = [];
  readonly bytes: number[] = [];
  most = 0;

  onFlushed(flushed: () => void): void {
    this.flushed = flushed;
  }

  read(...[, , , maxBytes, onEntries]: Parameters<PacedReads['read']>): void {
    this.underWay.push(() => {
      this.bytes.push(maxBytes);
      onEntries(undefined, [entryOf(maxBytes)]);
    });
    this.most = Math.max(this.most, this.underWay.length);
  }

  endFlush(isNextUnderWay: boolean): void {
    this.isWriting = isNextUnderWay;
    this.flushed();
  }
}

test('at most so many reads are in the log at once; the rest follow in order', () => {
  const log = new HeldLog();
  const reads = new PacedReads(log, log);
  const done: number[] = [];
  const wanted = Array.from({ length: 5 * READS_AT_ONCE_MAX }, (_, at) => at);
  for (const at of wanted) reads.read(1, at + 1, at + 1, 1, () => done.push(at));
  for (let end = log.underWay.shift(); end !== undefined; end = log.underWay.shift()) end();
  expect(log.most).toBe(READS_AT_ONCE_MAX);
  expect(done).toEqual(wanted);
});

test('a log that answers at once does not pile up calls', () => {
  let held: (() => void) | undefined;
  const log = {
    isWriting: false,
    onFlushed: () => undefined,
    read: (...[, from, , , onEntries]: Parameters<PacedReads['read']>) => {
      if (from <= READS_AT_ONCE_MAX) held = () => onEntries(undefined, []);
      else onEntries(new Error('closed'), []);
    },
  };
  const reads = new PacedReads(log, log);
  let failed = 0;
  for (let at = 1; at <= 50_000; at++) {
    reads.read(1, at, at, 1, (error) => {
      if (error !== undefined) failed++;
    });
  }
  expect(failed).toBe(0);
  held!();
  expect(failed).toBe(50_000 - READS_AT_ONCE_MAX);
});

/** A reader of `reads` who counts what came; `answerAll` ends what is under way. */
function reader(log: HeldLog) {
  const reads = new PacedReads(log, log);
  const came = { done: 0 };
  const ask = (bytes: number, count: number) => {
    for (let i = 0; i < count; i += 1) reads.read(1, 1, 1, bytes, () => (came.done += 1));
  };
  const answerAll = () => {
    while (log.underWay.length > 0) log.underWay.shift()!();
  };
  return { came, ask, answerAll };
}

test('who leaves before the log is asked is not read for, and nobody waits behind it', () => {
  const log = new HeldLog();
  const reads = new PacedReads(log, log);
  const done: number[] = [];
  const ask = (at: number) => reads.read(1, at, at, 1, () => done.push(at));
  const leaves = [0, 1, 2, 3, 4].map(ask);
  expect([leaves[0]!(), leaves[2]!(), leaves[4]!()]).toEqual([false, true, true]);
  for (let end = log.underWay.shift(); end !== undefined; end = log.underWay.shift()) end();
  expect(done).toEqual([0, 1, 3]);
});

test('beside a flush a few begin, then they wait for its end; single entries are cheap', () => {
  const log = new HeldLog();
  const { came, ask, answerAll } = reader(log);
  log.isWriting = true;
  ask(READ_BYTES_PER_FLUSH, 6);
  answerAll();
  expect(came.done).toBe(READS_AT_ONCE_MAX);
  const doneAfter = [true, true, false].map((isNextUnderWay) => {
    log.endFlush(isNextUnderWay);
    answerAll();
    return came.done;
  });
  expect(doneAfter).toEqual([2, 4, 4]);
  log.endFlush(true);
  answerAll();
  log.endFlush(true);
  log.endFlush(true);
  ask(1, 40);
  answerAll();
  expect(came.done).toBe(6 + 9);
});

test('an entry of four budgets holds up those behind it for four flushes', () => {
  const log = new HeldLog();
  const { came, ask, answerAll } = reader(log);
  log.isWriting = true;
  ask(4 * READ_BYTES_PER_FLUSH, 1);
  answerAll();
  ask(1, 1);
  const doneAfter = [1, 2, 3, 4].map(() => {
    log.endFlush(true);
    answerAll();
    return came.done;
  });
  expect(doneAfter).toEqual([1, 1, 1, 2]);
});

test('between two flushes they wait as well; when none comes for a while all go on', () => {
  const log = new HeldLog();
  const { came, ask, answerAll } = reader(log);
  log.endFlush(false);
  ask(READ_BYTES_PER_FLUSH, 10);
  answerAll();
  expect(came.done).toBe(2);
  vi.advanceTimersByTime(WRITING_LASTS_MS - 1);
  answerAll();
  expect(came.done).toBe(2);
  log.endFlush(false);
  log.endFlush(false);
  answerAll();
  expect(came.done).toBe(4);
  vi.advanceTimersByTime(WRITING_LASTS_MS - 1);
  answerAll();
  expect(came.done).toBe(4);
  vi.advanceTimersByTime(2);
  answerAll();
  expect(came.done).toBe(10);
  expect(vi.getTimerCount()).toBe(0);
});

const step = fc.oneof(
  fc.record({ ask: fc.nat(2 * READ_BYTES_PER_FLUSH) }),
  fc.constantFrom('answer', 'flush', 'end', 'endAndNext', 'quiet'),
);

test('every read ends, and over any number of flushes no more begin than may', () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 200 }), (steps) => {
      const log = new HeldLog();
      const reads = new PacedReads(log, log);
      let asked = 0;
      let done = 0;
      let flushes = 0;
      const isPaced = () => {
        // Those that were under way together when the last flush let them go may all exceed it.
        const before = log.bytes.slice(0, -READS_AT_ONCE_MAX);
        const bytesBefore = before.reduce((sum, bytes) => sum + bytes, 0);
        expect(bytesBefore).toBeLessThan((flushes + 1) * READ_BYTES_PER_FLUSH);
        expect(log.underWay.length).toBeLessThanOrEqual(READS_AT_ONCE_MAX);
      };
      const flushed = (isNextUnderWay: boolean) => {
        flushes += 1;
        log.endFlush(isNextUnderWay);
      };
      log.isWriting = true;
      for (const what of steps) {
        if (what === 'answer') log.underWay.shift()?.();
        else if (what === 'flush') log.isWriting = true;
        else if (what === 'quiet') {
          vi.advanceTimersByTime(WRITING_LASTS_MS + 1);
          if (log.isWriting) continue;
          // All that waits goes on; from here it is counted anew.
          while (log.underWay.length > 0) log.underWay.shift()!();
          expect(done).toBe(asked);
          [log.isWriting, log.bytes.length, flushes] = [true, 0, 0];
        } else if (typeof what !== 'string') {
          asked += 1;
          reads.read(1, 1, 1, what.ask, () => (done += 1));
        } else if (log.isWriting) flushed(what === 'endAndNext');
        isPaced();
      }
      // A log that is written without end, and in which each flush outlasts the reads beside it.
      log.isWriting = true;
      for (let flush = 0; flush <= 2 * asked; flush += 1) {
        while (log.underWay.length > 0) log.underWay.shift()!();
        isPaced();
        flushed(true);
      }
      expect(done).toBe(asked);
      vi.clearAllTimers();
    }),
  );
});
