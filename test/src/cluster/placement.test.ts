import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { placeQueues } from '../../../src/cluster/placement.ts';

describe('placeQueues', () => {
  it('takes the shard with the fewest queues, of equals the lowest', () => {
    expect(placeQueues([0, 0, 0], 4)).toEqual([1, 2, 3, 1]);
    expect(placeQueues([2, 0, 1], 4)).toEqual([2, 2, 3, 1]);
    expect(placeQueues([5], 2)).toEqual([1, 1]);
    expect(placeQueues([1, 1], 0)).toEqual([]);
  });

  it('never leaves a shard more than one ahead of another that got nothing', () => {
    const loads = fc.array(fc.nat(20), { minLength: 1, maxLength: 12 });
    fc.assert(
      fc.property(loads, fc.nat(60), (before, count) => {
        const after = [...before];
        for (const shard of placeQueues(before, count)) after[shard - 1]! += 1;
        const lowest = Math.min(...after);
        after.forEach((load, i) => {
          if (load > before[i]!) expect(load).toBeLessThanOrEqual(lowest + 1);
        });
      }),
    );
  });
});
