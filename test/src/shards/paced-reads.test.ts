import { expect, test } from 'vitest';
import { PacedReads, READS_AT_ONCE_MAX } from '../../../src/shards/paced-reads.ts';

test('at most so many reads are in the log at once; the rest follow in order', () => {
  const inLog: (() => void)[] = [];
  let most = 0;
  const reads = new PacedReads({
    read: (_shard, _from, _to, _maxBytes, onEntries) => {
      inLog.push(() => onEntries(undefined, []));
      most = Math.max(most, inLog.length);
    },
  });
  const done: number[] = [];
  const wanted = Array.from({ length: 3 * READS_AT_ONCE_MAX }, (_, at) => at);
  for (const at of wanted) reads.read(1, at + 1, at + 1, 1, () => done.push(at));
  for (let answer = inLog.shift(); answer !== undefined; answer = inLog.shift()) answer();
  expect(most).toBe(READS_AT_ONCE_MAX);
  expect(done).toEqual(wanted);
});

test('a log that answers at once does not pile up calls', () => {
  let held: (() => void) | undefined;
  const reads = new PacedReads({
    read: (_shard, from, _to, _maxBytes, onEntries) => {
      if (from <= READS_AT_ONCE_MAX) held = () => onEntries(undefined, []);
      else onEntries(new Error('closed'), []);
    },
  });
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
