import { expect, test } from 'vitest';
import type { OffsetRecord } from '../../../src/broker/offset-history.ts';
import { PastOffsets } from '../../../src/sim/invariants/past-offsets.ts';

/** Stood at 1 from 1000 on, at 5 from 1100 on, back at 2 from 5000 on. */
function checked(tell: (atMs: number) => OffsetRecord | undefined): () => void {
  const past = new PastOffsets();
  past.stands('g/7/0', 1, 1000);
  past.stands('g/7/0', 5, 1100);
  past.stands('g/7/0', 5, 1200);
  past.stands('g/7/0', 2, 5000);
  return () => past.expectState('g/7/0', tell);
}

const exact = (atMs: number): OffsetRecord => {
  if (atMs >= 5000) return { offset: 2, atMs: 5000 };
  return atMs < 1100 ? { offset: 1, atMs: 1000 } : { offset: 5, atMs: 1100 };
};

test('what stood then, or a little before, is true', () => {
  expect(checked(exact)).not.toThrow();
  // 100 ms behind: the spacing of the simulator is 200.
  const thinned = (atMs: number) => (atMs < 5000 ? { offset: 1, atMs: 1000 } : exact(atMs));
  expect(checked(thinned)).not.toThrow();
});

test('what never stood, or is not told, is not', () => {
  expect(checked(() => undefined)).toThrow(/past-true/);
  expect(checked((atMs) => ({ ...exact(atMs), offset: 3 }))).toThrow(/past-true/);
  expect(checked((atMs) => ({ ...exact(atMs), atMs: 999 }))).toThrow(/past-true/);
});

test('nothing is ahead of where the group stood, and nothing far behind', () => {
  const before = (atMs: number) => exact(atMs < 5000 ? atMs : 4999);
  expect(checked(before)).toThrow(/past-not-ahead/);
  const past = new PastOffsets();
  past.stands('g/7/0', 1, 1000);
  past.stands('g/7/0', 5, 2000);
  const behind = () => past.expectState('g/7/0', () => ({ offset: 1, atMs: 1000 }));
  expect(behind).toThrow(/past-close/);
});
