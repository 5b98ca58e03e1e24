import fc from 'fast-check';
import { expect, test } from 'vitest';
import { type Leave, WaitingLine } from '../../../src/shards/waiting-line.ts';

test('whoever leaves, the others are served in the order in which they came', () => {
  const step = fc.oneof(fc.constant('push'), fc.constant('shift'), fc.nat(20));
  fc.assert(
    fc.property(fc.array(step), (steps) => {
      const line = new WaitingLine<number>();
      let slow: number[] = [];
      const leaves: Leave[] = [];
      for (const what of steps) {
        if (what === 'push') {
          slow.push(leaves.length);
          leaves.push(line.push(leaves.length));
        } else if (what === 'shift') expect(line.shift()).toBe(slow.shift());
        else if (leaves.length > 0) {
          const who = typeof what === 'number' ? what % leaves.length : 0;
          expect(leaves[who]!()).toBe(slow.includes(who));
          slow = slow.filter((one) => one !== who);
        }
        expect([line.size, line.peek()]).toEqual([slow.length, slow[0]]);
      }
    }),
  );
});
