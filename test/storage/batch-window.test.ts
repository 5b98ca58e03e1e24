import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { BatchWindow, findGap } from '../../storage/batch-window.ts';

describe('batch window', () => {
  it('numbers from 1 and keeps enough bytes behind the newest', () => {
    const sizes = fc.array(fc.integer({ min: 1, max: 60 }), { minLength: 1, maxLength: 300 });
    fc.assert(
      fc.property(sizes, (batches) => {
        const window = new BatchWindow(100, []);
        const kept: { number: number; first: number }[] = [];
        for (const [at, bytes] of batches.entries()) {
          const { number, first: oldest, expired } = window.add(bytes);
          expect(number).toBe(at + 1);
          kept.push({ number, first: oldest });
          for (const old of expired) expect(kept.shift()?.number).toBe(old);
          expect(findGap(kept)).toBeUndefined();
          const first = kept[0]?.number ?? 0;
          expect(findGap(kept.slice(1))).toBe(
            kept.length > 1 ? `batch ${first} is missing` : undefined,
          );
          const after = batches.slice(first, at + 1).reduce((sum, b) => sum + b, 0);
          expect(after).toBeLessThan(100);
          const withFirst = batches.slice(first - 1, at + 1).reduce((sum, b) => sum + b, 0);
          if (first > 1) expect(withFirst).toBeGreaterThanOrEqual(100);
        }
      }),
    );
  });

  it('goes on after what the store holds', () => {
    const window = new BatchWindow(100, [
      { number: 41, bytes: 60 },
      { number: 42, bytes: 60 },
    ]);
    expect(window.newest).toBe(42);
    expect(window.add(50)).toEqual({ number: 43, bytes: 50, first: 42, expired: [41] });
  });

  it('deletes a backlog a few at a time', () => {
    const kept = Array.from({ length: 200 }, (_, at) => ({ number: at + 1, bytes: 10 }));
    const window = new BatchWindow(100, kept);
    expect(window.add(1).expired).toHaveLength(64);
    expect(window.add(1).expired[0]).toBe(65);
  });

  it('names a gap', () => {
    expect(findGap([])).toBeUndefined();
    const kept = (...numbers: number[]) => numbers.map((number) => ({ number, first: 5 }));
    expect(findGap(kept(5, 6, 7))).toBeUndefined();
    expect(findGap(kept(5, 6, 9))).toBe('batch 6 is followed by batch 9');
    expect(findGap(kept(6, 7))).toBe('batch 5 is missing');
  });
});
