import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { ENTRY_OVERHEAD_BYTES, entryBytes, RaftLog } from '../../raft/log.ts';
import type { Entry } from '../../raft/types.ts';
import { entries, entryAt } from '../harness/raft-cluster.ts';

function emptyLog(): RaftLog {
  return new RaftLog({
    logStart: { index: 0, term: 0 },
    termStarts: [],
    lastIndex: 0,
    commit: 0,
    applied: 0,
  });
}

function logOf(...terms: number[]): RaftLog {
  const log = emptyLog();
  for (const entry of entries(...terms)) log.append(entry);
  return log;
}

function stable(log: RaftLog, index = log.lastIndex): RaftLog {
  log.handedTo(log.lastIndex);
  log.durableTo(index);
  return log;
}

describe('RaftLog', () => {
  test('refuses holes and falling terms', () => {
    const log = logOf(1, 2);
    expect(() => log.append(entryAt(4, 2))).toThrow(/contiguous/);
    expect(() => log.append(entryAt(3, 1))).toThrow(/never fall/);
  });

  test('knows every term, and none outside', () => {
    const log = logOf(1, 1, 3);
    expect([0, 1, 2, 3, 4].map((index) => log.term(index))).toEqual([0, 1, 1, 3, undefined]);
  });

  test('never truncates what is committed', () => {
    const log = logOf(1, 1);
    log.commitTo(1);
    expect(() => log.truncateFrom(1)).toThrow(/committed/);
    log.truncateFrom(2);
    expect(log.lastIndex).toBe(1);
  });

  test('a truncated entry is no longer durable', () => {
    const log = stable(logOf(1, 1, 1));
    log.truncateFrom(2);
    expect([log.durable, log.written, log.handed]).toEqual([1, 1, 1]);
    log.append(entryAt(2, 2));
    expect(log.durable).toBe(1);
  });

  test('gives memory back only for what is durable and applied', () => {
    const log = logOf(1, 1, 1, 1);
    log.evict(0, 0);
    expect(log.windowFirst).toBe(1);
    stable(log, 3);
    log.evict(0, 0);
    expect(log.windowFirst).toBe(1);
    log.commitTo(2);
    log.appliedTo(2);
    log.evict(0, 0);
    expect(log.windowFirst).toBe(3);
    expect(log.entry(2)).toBeUndefined();
    expect(log.term(2)).toBe(1);
  });

  test('keeps what is committed and not applied until that is more than twice the bound', () => {
    const log = stable(logOf(1, 1, 1, 1, 1, 1, 1, 1));
    const each = log.windowBytes / 8;
    log.commitTo(6);
    log.evict(4 * each, 8 * each);
    expect(log.windowFirst).toBe(1);
    log.evict(2 * each, 4 * each);
    expect(log.windowFirst).toBe(5);
    log.evict(0, 0);
    expect(log.windowFirst).toBe(7);
  });

  test('slices at least one entry and then what fits', () => {
    const log = logOf(1, 1, 1);
    const one = entryBytes(log.entry(1)!);
    expect(one).toBeGreaterThan(ENTRY_OVERHEAD_BYTES);
    expect(log.slice(1, 3, 1)).toHaveLength(1);
    expect(log.slice(1, 3, 2 * one)).toHaveLength(2);
    expect(log.slice(1, 2, 1000)).toHaveLength(2);
    expect(log.slice(4, 9, 1000)).toEqual([]);
  });

  test('truncation below the window empties it', () => {
    const log = stable(logOf(1, 1, 1, 1));
    log.commitTo(1);
    log.appliedTo(1);
    const recovered = new RaftLog({
      logStart: { index: 0, term: 0 },
      termStarts: [{ term: 1, index: 1 }],
      lastIndex: 4,
      commit: 1,
      applied: 1,
    });
    recovered.truncateFrom(3);
    expect([recovered.lastIndex, recovered.windowFirst]).toEqual([2, 3]);
    recovered.append(entryAt(3, 2));
    expect(recovered.entry(3)?.term).toBe(2);
    recovered.assertPointers();
  });

  test('a start may rise to the last entry, and the log goes on', () => {
    const log = stable(logOf(1, 1));
    log.commitTo(2);
    log.appliedTo(2);
    log.setStart({ index: 2, term: 1 });
    expect([log.term(1), log.term(2), log.lastTerm]).toEqual([undefined, 1, 1]);
    log.append(entryAt(3, 4));
    expect([log.term(3), log.firstIndexOfTermAt(3)]).toEqual([4, 3]);
    expect(() => log.setStart({ index: 3, term: 4 })).toThrow(/applied/);
  });
});

describe('the window', () => {
  test('counts the buffers that its entries are views of', () => {
    const log = emptyLog();
    const BUFFER_BYTES = 64 * 1024;
    const EACH = 10;
    let buffer = new Uint8Array(0);
    for (let index = 1; index <= 1000; index++) {
      if (index % EACH === 1) buffer = new Uint8Array(BUFFER_BYTES);
      const view = buffer.subarray(0, 100);
      log.append({ ...entryAt(index, 1), head: view, payload: view });
    }
    log.handedTo(1000);
    log.durableTo(1000);
    log.commitTo(1000);
    log.appliedTo(1000);
    log.evict(10 * BUFFER_BYTES, 20 * BUFFER_BYTES);
    const left = log.lastIndex - log.windowFirst + 1;
    expect(left).toBeGreaterThan(15 * EACH);
    expect(left).toBeLessThanOrEqual(20 * EACH);
    log.evict(0, 0);
    expect([log.windowFirst, log.windowBytes]).toEqual([1001, 0]);
  });
});

describe('RaftLog against an array', () => {
  interface Model {
    entries: Entry[];
    commit: number;
    start: number;
  }
  const operation = fc.oneof(
    { weight: 4, arbitrary: fc.record({ op: fc.constant('append'), by: fc.nat(2) }) },
    { weight: 2, arbitrary: fc.record({ op: fc.constant('truncate'), by: fc.nat(5) }) },
    { weight: 2, arbitrary: fc.record({ op: fc.constant('stable'), by: fc.nat(5) }) },
    { weight: 2, arbitrary: fc.record({ op: fc.constant('commit'), by: fc.nat(3) }) },
    { weight: 1, arbitrary: fc.record({ op: fc.constant('evict'), by: fc.nat(300) }) },
    { weight: 1, arbitrary: fc.record({ op: fc.constant('start'), by: fc.nat(3) }) },
  );

  function act(log: RaftLog, model: Model, op: string, by: number): void {
    const last = model.entries.length;
    if (op === 'append') {
      const entry = entryAt(last + 1, Math.max(1, (model.entries.at(-1)?.term ?? 0) + by));
      log.append(entry);
      model.entries.push(entry);
    } else if (op === 'truncate' && last - by > model.commit) {
      log.truncateFrom(last - by);
      model.entries.length = last - by - 1;
    } else if (op === 'stable') {
      log.handedTo(last);
      log.durableTo(Math.max(log.durable, last - by));
    } else if (op === 'commit') {
      model.commit = Math.min(last, model.commit + by);
      log.commitTo(model.commit);
      log.appliedTo(Math.max(log.applied, model.commit - 1));
    } else if (op === 'evict') {
      log.evict(by, 2 * by);
    } else if (op === 'start') {
      const index = Math.min(log.start.index + by, log.applied, log.durable);
      log.setStart({ index, term: log.term(index)! });
      model.start = index;
    }
  }

  test('agrees on terms, entries and hints after any operations', () => {
    fc.assert(
      fc.property(fc.array(operation, { maxLength: 60 }), (operations) => {
        const log = emptyLog();
        const model: Model = { entries: [], commit: 0, start: 0 };
        for (const { op, by } of operations) act(log, model, op, by);
        log.assertPointers();
        expect(log.lastIndex).toBe(model.entries.length);
        for (let index = model.start + 1; index <= log.lastIndex; index++) {
          const entry = model.entries[index - 1]!;
          expect(log.term(index)).toBe(entry.term);
          expect([undefined, entry]).toContain(log.entry(index));
          const first = model.entries.findIndex(({ term }) => term === entry.term) + 1;
          expect(log.firstIndexOfTermAt(index)).toBe(Math.max(first, model.start + 1));
          const slow = model.entries.filter((e) => e.index <= index && e.term <= entry.term - 1);
          expect(log.lastIndexWithTermAtMost(entry.term - 1, index)).toBe(
            Math.max(slow.at(-1)?.index ?? 0, model.start),
          );
        }
      }),
      { numRuns: 1000 },
    );
  });
});
