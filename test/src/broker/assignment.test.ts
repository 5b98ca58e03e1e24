import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { shareQueues } from '../../../src/broker/assignment.ts';

const anyCase = fc.record({
  queues: fc.integer({ min: 1, max: 40 }),
  members: fc.uniqueArray(
    fc.nat(20).map((n) => `m${n}`),
    { minLength: 1, maxLength: 12 },
  ),
});

function counts(shares: readonly string[], members: readonly string[]): number[] {
  return members.map((member) => shares.filter((one) => one === member).length);
}

function expectBalanced(shares: readonly string[], members: readonly string[]): void {
  const sizes = counts(shares, members);
  expect(sizes.reduce((a, b) => a + b, 0)).toBe(shares.length);
  expect(Math.max(...sizes) - Math.min(...sizes)).toBeLessThanOrEqual(1);
}

const fresh = (queues: number): undefined[] => Array.from({ length: queues }, () => undefined);
const moved = (a: readonly string[], b: readonly string[]): number =>
  a.filter((member, at) => member !== b[at]).length;

describe('queues of a topic over its members', () => {
  it('each has one of the members, and nobody two more than another', () => {
    fc.assert(
      fc.property(anyCase, ({ queues, members }) => {
        expectBalanced(shareQueues(fresh(queues), members, new Map()), members);
      }),
    );
  });

  it('a join moves queues to the new member only, as few as balance needs', () => {
    fc.assert(
      fc.property(anyCase, ({ queues, members }) => {
        const before = shareQueues(fresh(queues), members, new Map());
        const after = shareQueues(before, ['new', ...members], new Map());
        expectBalanced(after, ['new', ...members]);
        const changed = after.filter((member, at) => member !== before[at]);
        expect(changed.every((member) => member === 'new')).toBe(true);
        expect(changed.length).toBeLessThanOrEqual(Math.ceil(queues / (members.length + 1)));
      }),
    );
  });

  it('a leave moves only what the old member had', () => {
    fc.assert(
      fc.property(anyCase, fc.nat(11), ({ queues, members }, at) => {
        fc.pre(members.length > 1);
        const gone = members[at % members.length]!;
        const left = members.filter((member) => member !== gone);
        const before = shareQueues(fresh(queues), members, new Map());
        const after = shareQueues(before, left, new Map());
        expectBalanced(after, left);
        expect(moved(before, after)).toBe(before.filter((member) => member === gone).length);
      }),
    );
  });

  it('the order of members does not matter: every replica finds the same', () => {
    fc.assert(
      fc.property(anyCase, ({ queues, members }) => {
        const shares = shareQueues(fresh(queues), members, new Map());
        expect(shareQueues(fresh(queues), [...members].reverse(), new Map())).toEqual(shares);
        expect(shareQueues(shares, members, new Map())).toEqual(shares);
      }),
    );
  });

  it('many topics of one queue are spread', () => {
    const load = new Map<string, number>();
    const members = ['a', 'b', 'c'];
    const shares = Array.from({ length: 9 }, () => shareQueues([undefined], members, load)[0]!);
    expect(counts(shares, members)).toEqual([3, 3, 3]);
  });
});
