import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { committedIndex, majorityOf, voteResult } from '../../raft/quorum.ts';

const config = (voters: number[], votersOutgoing: number[] = []) => ({ voters, votersOutgoing });

/** The definition itself: the largest index that more than half have reached. */
function slowMajorityIndex(voters: readonly number[], matched: Map<number, number>): number {
  if (voters.length === 0) return Infinity;
  const reached = voters.map((voter) => matched.get(voter) ?? 0);
  const candidates = [0, ...reached].sort((a, b) => b - a);
  return candidates.find(
    (index) => reached.filter((other) => other >= index).length > voters.length / 2,
  )!;
}

function slowVote(voters: readonly number[], votes: Map<number, boolean>): string {
  if (voters.length === 0) return 'won';
  const count = (wanted: boolean) => voters.filter((voter) => votes.get(voter) === wanted).length;
  if (count(true) > voters.length / 2) return 'won';
  return voters.length - count(false) > voters.length / 2 ? 'pending' : 'lost';
}

const ids = fc.uniqueArray(fc.integer({ min: 1, max: 9 }), { maxLength: 7 });

describe('committedIndex', () => {
  test('is Infinity for an empty configuration', () => {
    expect(committedIndex(config([]), new Map())).toBe(Infinity);
  });

  test('counts an unknown voter as 0', () => {
    expect(committedIndex(config([1, 2, 3]), new Map([[1, 7]]))).toBe(0);
    const two = new Map([
      [1, 7],
      [3, 5],
    ]);
    expect(committedIndex(config([1, 2, 3]), two)).toBe(5);
  });

  test('needs both halves of a joint configuration', () => {
    const matched = new Map([
      [1, 9],
      [2, 9],
      [3, 9],
      [4, 2],
      [5, 3],
    ]);
    expect(committedIndex(config([1, 2, 3], [3, 4, 5]), matched)).toBe(3);
  });

  test('equals the definition', () => {
    const matches = fc.array(fc.tuple(fc.integer({ min: 1, max: 9 }), fc.nat(20)));
    fc.assert(
      fc.property(ids, ids, matches, (voters, outgoing, pairs) => {
        const matched = new Map(pairs);
        const halves = [voters, outgoing].map((half) => slowMajorityIndex(half, matched));
        expect(committedIndex(config(voters, outgoing), matched)).toBe(Math.min(...halves));
      }),
      { numRuns: 5000 },
    );
  });
});

describe('voteResult', () => {
  test('an empty configuration agrees', () => {
    expect(voteResult(config([]), new Map())).toBe('won');
  });

  test('is lost as soon as one half of a joint configuration is lost', () => {
    const votes = new Map([
      [1, true],
      [2, true],
      [3, false],
      [4, false],
    ]);
    expect(voteResult(config([1, 2], [3, 4]), votes)).toBe('lost');
  });

  test('equals the definition', () => {
    const ballots = fc.array(fc.tuple(fc.integer({ min: 1, max: 9 }), fc.boolean()));
    fc.assert(
      fc.property(ids, ids, ballots, (voters, outgoing, pairs) => {
        const votes = new Map(pairs);
        const halves = [voters, outgoing].map((half) => slowVote(half, votes));
        const expected = halves.includes('lost')
          ? 'lost'
          : halves.includes('pending')
            ? 'pending'
            : 'won';
        expect(voteResult(config(voters, outgoing), votes)).toBe(expected);
      }),
      { numRuns: 5000 },
    );
  });
});

test('majorities of two sets of the same voters intersect', () => {
  for (let voters = 1; voters < 12; voters++)
    expect(2 * majorityOf(voters)).toBeGreaterThan(voters);
});
