import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  enterJoint,
  leaveJoint,
  type MembershipChange,
  MembershipHistory,
  membersOf,
  simple,
} from '../../raft/membership.ts';
import type { Configuration } from '../../raft/types.ts';
import { membershipOf } from '../harness/raft-cluster.ts';

const plain = (voters: number[], learners: number[] = []): Configuration => ({
  voters,
  votersOutgoing: [],
  learners,
  learnersNext: [],
});
const add = (node: number): MembershipChange => ({ type: 'addVoter', node });
const learn = (node: number): MembershipChange => ({ type: 'addLearner', node });
const remove = (node: number): MembershipChange => ({ type: 'remove', node });

describe('simple', () => {
  test('adds, promotes, demotes and removes one voter', () => {
    expect(simple(plain([1, 2]), [add(3)])).toEqual(plain([1, 2, 3]));
    expect(simple(plain([1, 2], [3]), [add(3)])).toEqual(plain([1, 2, 3]));
    expect(simple(plain([1, 2, 3]), [learn(3)])).toEqual(plain([1, 2], [3]));
    expect(simple(plain([1, 2, 3]), [remove(2)])).toEqual(plain([1, 3]));
  });

  test('changes any number of learners at once', () => {
    const changes = [learn(4), learn(5), remove(6), add(3)];
    expect(simple(plain([1, 2], [6]), changes)).toEqual(plain([1, 2, 3], [4, 5]));
  });

  test('refuses two voters, the last voter, and a joint configuration', () => {
    expect(() => simple(plain([1]), [add(2), add(3)])).toThrow(/more than one voter/);
    expect(() => simple(plain([1, 2]), [add(3), remove(1)])).toThrow(/more than one voter/);
    expect(() => simple(plain([1]), [remove(1)])).toThrow(/no voter/);
    const joint = enterJoint(plain([1]), [add(2)]);
    expect(() => simple(joint, [learn(4)])).toThrow(/joint/);
  });

  test('removing an unknown replica, or replica 0, changes nothing', () => {
    expect(simple(plain([1, 2]), [remove(7), add(0)])).toEqual(plain([1, 2]));
  });
});

describe('joint configurations', () => {
  test('keep the old voters as the outgoing half', () => {
    const joint = enterJoint(plain([1, 2, 3]), [add(4), remove(1), remove(2)], { autoLeave: true });
    expect(joint).toEqual({
      voters: [3, 4],
      votersOutgoing: [1, 2, 3],
      learners: [],
      learnersNext: [],
      autoLeave: true,
    });
    expect(leaveJoint(joint)).toEqual(plain([3, 4]));
  });

  test('a demoted voter waits in learnersNext', () => {
    const joint = enterJoint(plain([1, 2, 3]), [learn(1)]);
    expect(joint.learnersNext).toEqual([1]);
    expect(joint.learners).toEqual([]);
    expect(membersOf(joint).sort()).toEqual([1, 2, 3]);
    expect(leaveJoint(joint)).toEqual(plain([2, 3], [1]));
  });

  test('are entered and left once', () => {
    const joint = enterJoint(plain([1]), [add(2)]);
    expect(() => enterJoint(joint, [add(3)])).toThrow(/already joint/);
    expect(() => leaveJoint(plain([1]))).toThrow(/not joint/);
    expect(() => enterJoint(plain([]), [add(1)])).toThrow(/without voters/);
    expect(() => enterJoint(plain([1]), [remove(1)])).toThrow(/no voter/);
  });

  test('any legal simple change equals the same change made jointly', () => {
    const change = fc.record({
      type: fc.constantFrom('addVoter' as const, 'addLearner' as const, 'remove' as const),
      node: fc.integer({ min: 1, max: 6 }),
    });
    fc.assert(
      fc.property(
        fc.uniqueArray(fc.integer({ min: 1, max: 6 }), { minLength: 1 }),
        change,
        (v, c) => {
          const start = plain(v.sort((a, b) => a - b));
          if (v.length === 1 && v[0] === c.node && c.type !== 'addVoter') return;
          expect(leaveJoint(enterJoint(start, [c]))).toEqual(simple(start, [c]));
        },
      ),
      { numRuns: 1000 },
    );
  });
});

describe('MembershipHistory', () => {
  test('the newest appended rules, and truncation takes it back', () => {
    const history = new MembershipHistory(0, membershipOf([1, 2]));
    history.append(5, membershipOf([1, 2, 3]));
    expect(history.nodeOf(3)).toBe(3);
    expect(history.truncateFrom(6)).toBe(false);
    expect(history.truncateFrom(5)).toBe(true);
    expect(history.nodeOf(3)).toBeUndefined();
    expect(history.replicaOn(2)).toBe(2);
  });

  test('forgets what lies before the start of the log', () => {
    const history = new MembershipHistory(0, membershipOf([1]));
    history.append(5, membershipOf([1, 2]));
    history.append(9, membershipOf([1, 2, 3]));
    expect(history.startAt(8)).toEqual(membershipOf([1, 2]));
    expect(history.first).toEqual(membershipOf([1, 2]));
    expect(history.current).toEqual(membershipOf([1, 2, 3]));
  });
});
