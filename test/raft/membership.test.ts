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
const update = (node: number): MembershipChange => ({ type: 'update', node });
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
    const nobody = [learn(0), remove(0), update(0)];
    expect(enterJoint(plain([1, 2]), nobody)).toEqual({ ...plain([1, 2]), votersOutgoing: [1, 2] });
  });

  test('starts from nothing, and only with a voter', () => {
    expect(simple({}, [add(1)])).toEqual(plain([1]));
    expect(() => simple({}, [learn(1)])).toThrow(/no voter/);
    expect(() => simple({}, [])).toThrow(/no voter/);
  });

  test('what is already so stays so', () => {
    expect(simple(plain([1, 2], [3]), [add(2), learn(3), add(2)])).toEqual(plain([1, 2], [3]));
    expect(simple(plain([1, 2]), [])).toEqual(plain([1, 2]));
  });

  test('of several changes of one replica the last one counts', () => {
    expect(simple(plain([1, 2]), [remove(2), add(2)])).toEqual(plain([1, 2]));
    expect(simple(plain([1, 2]), [learn(1), add(1)])).toEqual(plain([1, 2]));
    expect(simple(plain([1, 2], [3]), [add(3), learn(3)])).toEqual(plain([1, 2], [3]));
    expect(simple(plain([1]), [add(2), remove(2), add(3)])).toEqual(plain([1, 3]));
  });

  test('a swap of voters is two changes; a demotion beside learners is one', () => {
    expect(() => simple(plain([1, 2], [3]), [add(3), learn(2)])).toThrow(/more than one voter/);
    expect(simple(plain([1, 2], [3]), [learn(2), remove(3), learn(4)])).toEqual(plain([1], [2, 4]));
  });

  test('removing every voter is refused for that, not for changing many', () => {
    expect(() => simple(plain([1, 2]), [remove(1), remove(2)])).toThrow(/no voter/);
    expect(() => simple(plain([1, 2]), [learn(1), learn(2)])).toThrow(/no voter/);
  });

  test('an update changes nothing; a change that is not known is refused', () => {
    expect(simple(plain([1, 2]), [update(1), add(3), update(9)])).toEqual(plain([1, 2, 3]));
    const odd = { type: 'promote', node: 1 } as unknown as MembershipChange;
    expect(() => simple(plain([1, 2]), [odd])).toThrow(/promote is no change/);
  });

  test('leaves what it was given as it was', () => {
    const before = Object.freeze({ ...plain([1, 2], [3]) });
    for (const list of [before.voters, before.learners]) Object.freeze(list);
    simple(before, [remove(1), learn(4)]);
    leaveJoint(enterJoint(before, [remove(1), add(3)]));
    expect(before).toEqual(plain([1, 2], [3]));
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

  test('promote and demote in one step, which a simple change may not', () => {
    const joint = enterJoint(plain([1, 2], [3]), [add(3), learn(1)]);
    expect(joint).toEqual({ ...plain([2, 3]), votersOutgoing: [1, 2], learnersNext: [1] });
    expect(leaveJoint(joint)).toEqual(plain([2, 3], [1]));
  });

  test('a demotion taken back in the same step leaves no trace', () => {
    expect(enterJoint(plain([1, 2]), [learn(1), add(1)])).toEqual({
      ...plain([1, 2]),
      votersOutgoing: [1, 2],
    });
    const removed = enterJoint(plain([1, 2]), [learn(1), remove(1)]);
    expect([removed.learnersNext, leaveJoint(removed)]).toEqual([[], plain([2])]);
  });

  test('a new learner is one at once: it is no voter of the outgoing half', () => {
    const joint = enterJoint(plain([1, 2]), [learn(3), remove(1)]);
    expect([joint.learners, joint.learnersNext]).toEqual([[3], []]);
  });

  test('may be entered without any change, and leave by themselves only when asked to', () => {
    const joint = enterJoint(plain([1, 2]));
    expect(joint).toEqual({ ...plain([1, 2]), votersOutgoing: [1, 2] });
    expect(leaveJoint(joint)).toEqual(plain([1, 2]));
    expect(enterJoint(plain([1]), [], { autoLeave: false })).not.toHaveProperty('autoLeave');
    expect(leaveJoint(enterJoint(plain([1]), [], { autoLeave: true }))).toEqual(plain([1]));
  });

  test('a configuration that contradicts itself is refused', () => {
    expect(() => simple(plain([1, 2], [2]), [add(3)])).toThrow(/learner and voter/);
    const both = { ...plain([1], [2]), votersOutgoing: [1, 2] };
    expect(() => leaveJoint({ ...both, learnersNext: [1] })).toThrow(/learner and voter/);
    expect(() => enterJoint({ ...plain([1, 2]), learnersNext: [3] }, [])).toThrow(/was no voter/);
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
    expect(history.replicasOn(2)).toEqual([2]);
  });

  test('knows who votes now, or may again if what is not committed is taken back', () => {
    const history = new MembershipHistory(0, membershipOf([1, 2, 3]));
    history.append(5, membershipOf([1, 2]));
    history.append(9, membershipOf([1]));
    const voters = (commit: number) => [1, 2, 3, 4].filter((id) => history.hasVote(id, commit));
    expect([voters(4), voters(5), voters(8), voters(9)]).toEqual([[1, 2, 3], [1, 2], [1, 2], [1]]);
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
