import fc from 'fast-check';
import { expect, test } from 'vitest';
import {
  PacedReads,
  READ_BYTES_PER_FLUSH,
  READS_AT_ONCE_MAX,
} from '../../../src/shards/paced-reads.ts';

/** A log whose reads and flushes end when the test says so. */
class HeldLog {
  isWriting = false;
  flushed: () => void = () => undefined;
  readonly underWay: (() => void)[] = [];
  /** Of reads that began since the last flush ended. */
  bytes: number[] = [];
  most = 0;

  onFlushed(flushed: () => void): void {
    this.flushed = flushed;
  }

  read(...[, , , maxBytes, onEntries]: Parameters<PacedReads['read']>): void {
    if (this.isWriting) this.bytes.push(maxBytes);
    this.underWay.push(() => onEntries(undefined, []));
    this.most = Math.max(this.most, this.underWay.length);
  }

  endFlush(isNextUnderWay: boolean): void {
    this.isWriting = isNextUnderWay;
    this.bytes = [];
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

test('beside a flush a few begin, then they wait for its end; single entries are cheap', () => {
  const log = new HeldLog();
  const reads = new PacedReads(log, log);
  let done = 0;
  const ask = (bytes: number, count: number) => {
    for (let i = 0; i < count; i += 1) reads.read(1, 1, 1, bytes, () => (done += 1));
  };
  const answerAll = () => {
    while (log.underWay.length > 0) log.underWay.shift()!();
  };
  log.isWriting = true;
  ask(READ_BYTES_PER_FLUSH, 4);
  answerAll();
  expect(done).toBe(1);
  log.endFlush(true);
  answerAll();
  expect(done).toBe(2);
  log.endFlush(false);
  answerAll();
  expect(done).toBe(4);
  log.isWriting = true;
  ask(1, 40);
  answerAll();
  expect(done).toBe(4 + 16);
});

const step = fc.oneof(
  fc.record({ ask: fc.nat(2 * READ_BYTES_PER_FLUSH) }),
  fc.constantFrom('answer', 'flush', 'end', 'endAndNext'),
);

test('every read ends, and between two flushes no more begin than may', () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 200 }), (steps) => {
      const log = new HeldLog();
      const reads = new PacedReads(log, log);
      let asked = 0;
      let done = 0;
      const isPaced = () => {
        const bytesBefore = log.bytes.slice(0, -1).reduce((sum, bytes) => sum + bytes, 0);
        expect(bytesBefore).toBeLessThan(READ_BYTES_PER_FLUSH);
        expect(log.underWay.length).toBeLessThanOrEqual(READS_AT_ONCE_MAX);
      };
      for (const what of steps) {
        if (what === 'answer') log.underWay.shift()?.();
        else if (what === 'flush') log.isWriting = true;
        else if (typeof what !== 'string') {
          asked += 1;
          reads.read(1, 1, 1, what.ask, () => (done += 1));
        } else if (log.isWriting) log.endFlush(what === 'endAndNext');
        isPaced();
      }
      // A log that is written without end, and in which each flush outlasts the reads beside it.
      log.isWriting = true;
      for (let flush = 0; flush <= asked; flush += 1) {
        while (log.underWay.length > 0) log.underWay.shift()!();
        isPaced();
        log.endFlush(true);
      }
      expect(done).toBe(asked);
    }),
  );
});
