/**
 * The Raft paper's section on membership (6) and the thesis' chapter 4, rule by rule: one `it` per
 * rule. `reconfigure.test.ts` holds the details of how this leader does it.
 */
import { describe, expect, it } from 'vitest';
import { enterJoint, leaveJoint, type MembershipChange, simple } from '../../raft/membership.ts';
import type { CoreMessage } from '../../raft/messages.ts';
import { voteResult } from '../../raft/quorum.ts';
import type { Configuration } from '../../raft/types.ts';
import { CoreCluster, membershipOf, type TestReplica } from '../harness/raft-cluster.ts';

const address = (id: number) => ({ replica: id, node: id, incarnation: `n${id}` });
const learn = (node: number): MembershipChange => ({ type: 'addLearner', node });
const add = (node: number): MembershipChange => ({ type: 'addVoter', node });
const remove = (node: number): MembershipChange => ({ type: 'remove', node });

/** 1, 2, 3 are the group, led by 1; 4 and 5 run and belong to nobody yet. */
function group(): CoreCluster {
  const cluster = new CoreCluster([1, 2, 3, 4, 5], () => ({ voters: [1, 2, 3] }));
  cluster.elect(1);
  return cluster;
}

/** From 1, 2, 3 to 3, 4, 5 through a joint configuration. */
const swap = {
  changes: [remove(1), remove(2), add(4), add(5)],
  replicas: [address(4), address(5)],
};

function configOf({ core }: TestReplica): Configuration {
  return core.currentMembership.config;
}

function isJointAt(replica: TestReplica): boolean {
  return configOf(replica).votersOutgoing.length > 0;
}

/** A cluster in which everybody has the joint configuration, uncommitted, and nobody leads yet. */
function jointGroup(): CoreCluster {
  const config = enterJoint(membershipOf([1, 2, 3]).config, swap.changes, { autoLeave: true });
  const membership = { config, replicas: [1, 2, 3, 4, 5].map(address) };
  return new CoreCluster([1, 2, 3, 4, 5], () => ({ membership }));
}

function campaignWith(
  cluster: CoreCluster,
  candidate: number,
  voters: readonly number[],
): TestReplica {
  for (const { id } of cluster.replicas) {
    if (id !== candidate && !voters.includes(id)) cluster.isolate(id);
  }
  cluster.advance(5000);
  cluster.replica(candidate).timeOut();
  cluster.settle();
  return cluster.replica(candidate);
}

describe('paper 6: joint consensus', () => {
  it('a server goes by the newest configuration in its log, committed or not', () => {
    const cluster = group();
    const leader = cluster.replica(1);
    cluster.isolate(1);
    leader.change(swap);
    expect(leader.core.log.commit).toBe(1);
    expect(configOf(leader)).toMatchObject({ voters: [3, 4, 5], votersOutgoing: [1, 2, 3] });
  });

  it('an entry that is overwritten takes its configuration with it', () => {
    const cluster = group();
    const lost = cluster.replica(1);
    cluster.isolate(1);
    lost.change(swap);
    cluster.elect(2);
    cluster.heal();
    cluster.run(600);
    expect(configOf(lost)).toEqual(membershipOf([1, 2, 3]).config);
  });

  it('entries go to all servers of both configurations', () => {
    const cluster = group();
    const leader = cluster.replica(1);
    leader.change(swap);
    const sent = leader.take().filter(({ type }) => type === 'append');
    expect(sent.map(({ to }) => to)).toEqual([2, 3, 4, 5]);
  });

  it.each([1, 4])('a server of either configuration may lead: %i', (id) => {
    const cluster = jointGroup();
    cluster.advance(5000);
    cluster.replica(id).timeOut();
    for (let round = 0; round < 4; round++) cluster.deliver();
    expect(cluster.replica(id).core.role).toBe('leader');
  });

  // 3 is in both halves.
  it.each([
    ['all of the old half', 1, [2, 3], false],
    ['all of the new half', 4, [3, 5], false],
    ['most of the new half without the shared server', 4, [5], false],
    ['most of both halves', 4, [1, 3], true],
    ['most of both halves without the shared server', 4, [5, 1, 2], true],
  ])('an election needs both majorities: %s', (_, candidate, voters, wins) => {
    // Whoever wins goes on to term 1: pre-vote and vote count alike.
    expect(campaignWith(jointGroup(), candidate, voters).core.term).toBe(wins ? 1 : 0);
  });

  it.each([
    ['the old', [4, 5]],
    ['the new', [1, 2]],
  ] as const)('a commit needs both majorities: not %s half alone', (half, cutOff) => {
    const cluster = group();
    const leader = cluster.replica(1);
    leader.isDiskManual = half === 'the new';
    leader.change(swap);
    for (const id of cutOff) if (id !== 1) cluster.isolate(id);
    cluster.settle();
    expect(leader.core.log.commit).toBe(1);
    expect(isJointAt(leader)).toBe(true);
  });

  it('once the joint configuration is committed, the new one follows by itself', () => {
    const cluster = group();
    cluster.replica(1).change(swap);
    cluster.settle();
    for (const id of [3, 4, 5]) {
      expect(configOf(cluster.replica(id))).toEqual(membershipOf([3, 4, 5]).config);
    }
  });

  it('not before: the new configuration is no entry while the joint one is not committed', () => {
    const cluster = group();
    const leader = cluster.replica(1);
    cluster.isolate(4);
    cluster.isolate(5);
    leader.change(swap);
    cluster.run(900);
    expect([leader.core.log.lastIndex, isJointAt(leader)]).toEqual([2, true]);
  });

  it('a new leader with the joint entry brings the change to its end', () => {
    const cluster = group();
    cluster.replica(1).change(swap);
    cluster.deliver(({ to }) => to === 3 || to === 4);
    cluster.isolate(1);
    cluster.inFlight = [];
    cluster.run(8000);
    const leader = cluster.replicas.find(({ id, core }) => id !== 1 && core.role === 'leader');
    expect(configOf(leader!)).toEqual(membershipOf([3, 4, 5]).config);
  });

  it('a new leader without the joint entry goes on with the old configuration', () => {
    const cluster = group();
    cluster.isolate(1);
    cluster.replica(1).change(swap);
    const leader = cluster.elect(2);
    cluster.run(600);
    expect(configOf(leader)).toEqual(membershipOf([1, 2, 3]).config);
    leader.propose('x');
    cluster.settle();
    expect(leader.core.log.commit).toBe(3);
  });
});

describe('paper 6: servers that come', () => {
  it('get the log first, and count for nothing until they are voters', () => {
    const cluster = group();
    const leader = cluster.replica(1);
    leader.change({ changes: [learn(4), learn(5)], replicas: [address(4), address(5)] });
    cluster.settle();
    expect(cluster.replica(4).logTerms()).toEqual([1, 1]);
    cluster.isolate(2);
    cluster.isolate(3);
    leader.propose('x');
    cluster.settle();
    expect(leader.core.log.commit).toBe(2);
    cluster.heal();
    cluster.run(400);
    leader.change({ changes: [add(4), add(5)] });
    cluster.run(400);
    expect(configOf(leader)).toEqual(membershipOf([1, 2, 3, 4, 5]).config);
  });
});

describe('paper 6: servers that go', () => {
  it('a leader that is not in the new configuration leads until that is committed', () => {
    const cluster = group();
    const leader = cluster.replica(1);
    leader.change({ changes: [remove(1)] });
    expect(leader.core.role).toBe('leader');
    cluster.settle();
    expect([leader.core.role, leader.core.log.commit]).toEqual(['follower', 2]);
  });

  it('it does not count itself meanwhile', () => {
    const cluster = group();
    const leader = cluster.replica(1);
    cluster.isolate(3);
    leader.change({ changes: [remove(1)] });
    cluster.settle();
    expect(leader.core.log.commit).toBe(1);
  });

  it('a server that its own newest entry leaves out still campaigns: it may be needed', () => {
    // 2 removes itself and is lost before anybody has that entry; 1 misses what 2 has besides.
    const cluster = new CoreCluster([1, 2]);
    const last = cluster.elect(2);
    cluster.isolate(1);
    last.propose('only 2 has it');
    last.change({ changes: [remove(2)] });
    cluster.settle();
    expect(configOf(last).voters).toEqual([1]);
    cluster.inFlight = [];
    cluster.heal();
    last.restart();
    cluster.advance(5000);
    // 2 has more and gives no vote, so that only 2 can lead; its own vote does not count.
    cluster.run(4000);
    expect(cluster.replica(1).applied.map(({ term }) => term)).toContain(last.core.term);
    expect([cluster.replica(1).core.role, last.core.role]).toEqual(['leader', 'follower']);
    expect(configOf(cluster.replica(1)).voters).toEqual([1]);
  });

  it('once its removal is committed, as far as it knows, it campaigns no more', () => {
    const cluster = group();
    cluster.replica(1).change({ changes: [remove(1)] });
    cluster.settle();
    cluster.isolate(1);
    cluster.replica(1).take();
    cluster.replica(1).timeOut();
    expect(cluster.replica(1).take()).toEqual([]);
  });

  it('a removed server that campaigns changes no term while a leader is heard', () => {
    const cluster = group();
    const leader = cluster.replica(1);
    leader.change({ changes: [remove(3)] });
    cluster.run(300);
    const removed = cluster.replica(3);
    expect(configOf(removed).voters).toEqual([1, 2, 3]);
    for (let attempt = 0; attempt < 5; attempt++) {
      cluster.run(900);
      const vote = { shard: 1, from: 3, term: 90 + attempt, lastIndex: 99, lastTerm: 89 };
      for (const id of [1, 2]) {
        cluster.replica(id).step({ ...vote, type: 'vote', to: id, transfer: false } as CoreMessage);
      }
    }
    cluster.settle();
    expect([leader.core.role, leader.core.term, cluster.replica(2).core.term]).toEqual([
      'leader',
      1,
      1,
    ]);
  });

  it('a normal election is not hindered: who heard nobody for a timeout votes', () => {
    const cluster = group();
    cluster.isolate(1);
    cluster.run(6000);
    const leaders = cluster.replicas.filter(({ core }) => core.role === 'leader');
    expect(leaders.map(({ id }) => id)).toEqual([expect.toSatisfy((id) => id === 2 || id === 3)]);
  });
});

describe('thesis 4.1: one change at a time', () => {
  it('the next one waits until the one before is committed', () => {
    const cluster = group();
    const leader = cluster.replica(1);
    expect(leader.change({ changes: [learn(4)], replicas: [address(4)] })).toMatchObject({
      index: 2,
    });
    expect(leader.change({ changes: [remove(3)] })).toEqual({ refused: 'busy' });
    cluster.settle();
    expect(leader.change({ changes: [remove(3)] })).toMatchObject({ index: 3 });
  });

  it('the first one waits for an entry of the own term: else two leaders part ways', () => {
    const cluster = new CoreCluster([1, 2, 3]);
    cluster.advance(5000);
    const leader = cluster.replica(1);
    leader.timeOut();
    for (let round = 0; round < 4; round++) cluster.deliver();
    expect(leader.core.role).toBe('leader');
    expect(leader.change({ changes: [remove(3)] })).toEqual({ refused: 'busy' });
    cluster.settle();
    expect(leader.change({ changes: [remove(3)] })).toMatchObject({ index: 2 });
  });

  it('a leader and a candidate that are not in the own configuration are heard', () => {
    const cluster = group();
    const stranger = { shard: 1, from: 9, to: 4, term: 7 };
    const server = cluster.replica(4);
    const beat = { ...stranger, type: 'heartbeat', commit: 0, round: 1, rank: 0, quiet: false };
    server.step(beat as CoreMessage);
    expect([server.core.term, server.core.leader]).toEqual([7, 9]);
    server.nowMs += 5000;
    const vote = { ...stranger, term: 8, lastIndex: 9, lastTerm: 7, transfer: false };
    server.take();
    server.step({ ...vote, type: 'vote' });
    expect(server.take()).toMatchObject([{ type: 'voteReply', granted: true }]);
  });

  /** Every set of servers that could decide alone. */
  function deciders(config: Configuration): number[][] {
    const all = [1, 2, 3, 4, 5];
    return Array.from({ length: 2 ** all.length }, (_, bits) =>
      all.filter((_id, at) => (bits >> at) % 2 === 1),
    ).filter((set) => voteResult(config, new Map(set.map((id) => [id, true]))) === 'won');
  }

  function expectOverlap(left: Configuration, right: Configuration): void {
    for (const one of deciders(left)) {
      for (const other of deciders(right)) {
        expect(one.some((id) => other.includes(id))).toBe(true);
      }
    }
  }

  it('two that follow each other in one step share a server in any two majorities', () => {
    for (const voters of [[1], [1, 2], [1, 2, 3], [1, 2, 3, 4], [1, 2, 3, 4, 5]]) {
      const before = membershipOf(voters).config;
      for (const node of [1, 2, 3, 4, 5]) {
        expectOverlap(before, simple(before, [add(node)]));
        if (voters.length > 1 || node !== 1) expectOverlap(before, simple(before, [remove(node)]));
      }
    }
  });

  it('so do the old and the joint configuration, and the joint and the new one', () => {
    const sets = [[1], [1, 2, 3], [3, 4, 5], [4, 5], [1, 2, 3, 4, 5]];
    for (const from of sets) {
      for (const to of sets) {
        const before = membershipOf(from).config;
        const joint = enterJoint(before, [
          ...to.map(add),
          ...from.filter((id) => !to.includes(id)).map(remove),
        ]);
        expectOverlap(before, joint);
        expectOverlap(joint, leaveJoint(joint));
      }
    }
  });
});
