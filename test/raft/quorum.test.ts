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

  test.each([
    [[7], [], [7], 7],
    [[7, 8], [], [90, 70], 70],
    [[7, 8, 9], [], [90, 70, 80], 80],
    [[7, 8, 9, 10], [], [90, 70, 80, 60], 70],
    [[7, 8, 9, 10, 11], [], [5, 5, 5, 90, 90], 5],
  ])(
    'of voters %j and %j with %j is what more than half have: %i',
    (half, other, reached, want) => {
      const matched = new Map(half.map((voter, at) => [voter, reached[at]!]));
      expect(committedIndex(config(half, other), matched)).toBe(want);
    },
  );

  test('a half that waits for its only voter holds the other back', () => {
    const halves = config([1, 2, 3], [9]);
    const reached = new Map([1, 2, 3].map((voter) => [voter, 50]));
    expect(committedIndex(halves, reached)).toBe(0);
    expect(committedIndex(halves, reached.set(9, 20))).toBe(20);
    expect(committedIndex(halves, reached.set(9, 60))).toBe(50);
  });

  test('an empty half agrees with everything, whether it is named or left out', () => {
    const reached = new Map([[4, 6]]);
    for (const plain of [config([4]), config([], [4]), { voters: [4] }]) {
      expect(committedIndex(plain, reached)).toBe(6);
    }
    expect(committedIndex({}, reached)).toBe(Infinity);
  });

  test('what learners and strangers have counts for nothing', () => {
    const withLearner = { ...config([1, 2, 3]), learners: [4], learnersNext: [] };
    const reached = new Map([1, 4, 5, 6].map((replica) => [replica, 9]));
    expect(committedIndex(withLearner, reached)).toBe(0);
  });

  test('is the same for both orders of the halves, and for one joint with itself', () => {
    const matches = fc.array(fc.tuple(fc.integer({ min: 1, max: 9 }), fc.nat(20)));
    fc.assert(
      fc.property(ids, ids, matches, (one, other, pairs) => {
        const matched = new Map(pairs);
        const index = committedIndex(config(one, other), matched);
        expect(committedIndex(config(other, one), matched)).toBe(index);
        const alone = committedIndex(config(one), matched);
        expect(committedIndex(config(one, one), matched)).toBe(alone);
      }),
    );
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

  test('an empty half may be left out', () => {
    const granted = new Map([[4, true]]);
    for (const plain of [config([4]), config([], [4]), { voters: [4] }]) {
      expect(voteResult(plain, granted)).toBe('won');
      expect(voteResult(plain, new Map([[4, false]]))).toBe('lost');
      expect(voteResult(plain, new Map([[5, true]]))).toBe('pending');
    }
    expect(voteResult({}, granted)).toBe('won');
  });

  test('an even half is lost by a tie of refusals, a silent voter leaves it open', () => {
    const four = config([1, 2, 3, 4]);
    const half = [true, true, false];
    const votes = new Map(half.map((vote, at) => [at + 1, vote]));
    expect(voteResult(four, votes)).toBe('pending');
    expect(voteResult(four, votes.set(4, false))).toBe('lost');
  });

  test('a voter of both halves decides in both', () => {
    const shared = config([1, 2], [2, 3]);
    expect(voteResult(shared, new Map([[2, false]]))).toBe('lost');
    const two = new Map([
      [1, true],
      [2, true],
    ]);
    expect(voteResult(shared, two)).toBe('pending');
    expect(voteResult(shared, two.set(3, true))).toBe('won');
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
