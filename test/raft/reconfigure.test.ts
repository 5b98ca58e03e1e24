/** Membership changes through a leader (paper section 6, thesis chapter 4), replica by replica. */
import { crc32 as zlibCrc32 } from 'node:zlib';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { crc32 } from '../../raft/crc32.ts';
import type { MembershipChange } from '../../raft/membership.ts';
import { decodeMembership } from '../../raft/membership-codec.ts';
import type { Configuration } from '../../raft/types.ts';
import { CoreCluster, membershipOf, SHARD, TestReplica } from '../harness/raft-cluster.ts';

const address = (id: number) => ({ replica: id, node: id, incarnation: `n${id}` });
const learner = (node: number): MembershipChange => ({ type: 'addLearner', node });
const voter = (node: number): MembershipChange => ({ type: 'addVoter', node });
const remove = (node: number): MembershipChange => ({ type: 'remove', node });

/** Replicas `members` form the group, the others exist and know of it. */
function group(members: readonly number[], others: readonly number[] = []): CoreCluster {
  const cluster = new CoreCluster([...members, ...others], () => ({ voters: members }));
  cluster.elect(1);
  return cluster;
}

function configOf(cluster: CoreCluster, id: number): Configuration {
  return cluster.replica(id).core.currentMembership.config;
}

describe('a change of one', () => {
  test('a learner is replicated to, does not count and does not campaign', () => {
    const cluster = group([1, 2, 3], [4]);
    const leader = cluster.replica(1);
    leader.change({ changes: [learner(4)], replicas: [address(4)] });
    cluster.settle();
    expect(configOf(cluster, 4)).toMatchObject({ voters: [1, 2, 3], learners: [4] });
    expect(cluster.replica(4).logTerms()).toEqual(leader.logTerms());
    cluster.isolate(2);
    cluster.isolate(3);
    leader.propose('only the learner gets it');
    cluster.settle();
    expect(leader.core.log.commit).toBe(2);
    cluster.replica(4).timeOut();
    expect(cluster.replica(4).core.role).toBe('follower');
    expect(cluster.replica(4).take()).toEqual([]);
  });

  test('a learner becomes a voter and then is needed', () => {
    const cluster = group([1, 2, 3], [4]);
    cluster.replica(1).change({ changes: [learner(4)], replicas: [address(4)] });
    cluster.settle();
    cluster.replica(1).change({ changes: [voter(4)] });
    cluster.settle();
    expect(configOf(cluster, 4).voters).toEqual([1, 2, 3, 4]);
    cluster.isolate(2);
    cluster.isolate(3);
    cluster.replica(1).propose('two of four');
    cluster.settle();
    expect(cluster.replica(1).core.log.commit).toBe(3);
  });

  test('counts from the moment it is appended, not from its commit (thesis 4.1)', () => {
    const cluster = group([1], [2]);
    const leader = cluster.replica(1);
    leader.change({ changes: [voter(2)], replicas: [address(2)] });
    expect(leader.core.log.commit).toBe(1);
    cluster.settle();
    expect(leader.core.log.commit).toBe(2);
  });

  test('stops ruling when a new leader truncates its entry', () => {
    const cluster = group([1, 2, 3], [4]);
    cluster.isolate(1);
    const lost = cluster.replica(1);
    lost.change({ changes: [remove(2)] });
    expect(configOf(cluster, 1).voters).toEqual([1, 3]);
    cluster.elect(2);
    cluster.heal();
    cluster.run(500);
    expect(configOf(cluster, 1).voters).toEqual([1, 2, 3]);
  });

  test('names the replicas of the new configuration and no others', () => {
    const cluster = group([1, 2, 3]);
    const leader = cluster.replica(1);
    leader.change({ changes: [remove(3)] });
    const { head, bodyCrc } = leader.core.log.entry(2)!;
    expect(decodeMembership(head).replicas).toEqual([address(1), address(2)]);
    expect(bodyCrc).toBe(zlibCrc32(head));
  });

  test('the CRC of its entry is that of zlib', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => {
        expect(crc32(bytes)).toBe(zlibCrc32(bytes));
      }),
    );
  });
});

describe('a larger change', () => {
  const request = {
    changes: [remove(2), remove(3), voter(4), voter(5)],
    replicas: [address(4), address(5)],
  };

  test('goes through a joint configuration and leaves it by itself', () => {
    const cluster = group([1, 2, 3], [4, 5]);
    const leader = cluster.replica(1);
    leader.change(request);
    expect(configOf(cluster, 1)).toMatchObject({
      voters: [1, 4, 5],
      votersOutgoing: [1, 2, 3],
      autoLeave: true,
    });
    cluster.settle();
    for (const id of [1, 4, 5]) {
      expect(configOf(cluster, id)).toMatchObject({ voters: [1, 4, 5], votersOutgoing: [] });
    }
    expect(leader.core.currentMembership.replicas.map(({ replica }) => replica)).toEqual([1, 4, 5]);
  });

  test.each([
    ['old', [2, 3]],
    ['new', [4, 5]],
  ] as const)('needs a majority of the %s half', (_, half) => {
    const cluster = group([1, 2, 3], [4, 5]);
    for (const id of half) cluster.isolate(id);
    cluster.replica(1).change(request);
    cluster.settle();
    expect(cluster.replica(1).core.log.commit).toBe(1);
    expect(configOf(cluster, 1).votersOutgoing).toEqual([1, 2, 3]);
  });

  test('a new leader that inherits the joint configuration leaves it', () => {
    const cluster = group([1, 2, 3], [4, 5]);
    cluster.replica(1).change(request);
    cluster.deliver(({ to }) => to !== 2);
    cluster.deliver(({ to }) => to !== 1);
    expect(configOf(cluster, 3).votersOutgoing).toEqual([1, 2, 3]);
    cluster.isolate(1);
    cluster.inFlight = [];
    cluster.run(8000);
    const leader = cluster.replicas.find(({ id, core }) => id !== 1 && core.role === 'leader')!;
    expect(configOf(cluster, leader.id)).toMatchObject({ voters: [1, 4, 5], votersOutgoing: [] });
    expect([4, 5]).toContain(leader.id);
  });

  test('a voter that is demoted waits in learnersNext and ends as a learner', () => {
    const cluster = group([1, 2, 3], [4]);
    const changes = [learner(2), voter(4)];
    cluster.replica(1).change({ changes, replicas: [address(4)] });
    expect(configOf(cluster, 1)).toMatchObject({ learners: [], learnersNext: [2] });
    cluster.settle();
    expect(configOf(cluster, 1)).toMatchObject({ voters: [1, 3, 4], learners: [2] });
  });
});

describe('refusals are definite', () => {
  test.each([
    ['without an address', { changes: [learner(9)] }],
    ['that changes nothing', { changes: [voter(2)] }],
    ['without voters', { changes: [remove(1), remove(2), remove(3)] }],
    [
      'of a known replica to another node',
      { changes: [learner(2)], replicas: [{ ...address(2), node: 7 }] },
    ],
    [
      'with two voters on one node',
      { changes: [voter(4)], replicas: [{ ...address(4), node: 2 }] },
    ],
  ])('invalid: a change %s', (_, request) => {
    const leader = group([1, 2, 3]).replica(1);
    expect(leader.change(request)).toMatchObject({ refused: 'invalid' });
    expect(leader.core.log.lastIndex).toBe(1);
  });

  test('a learner may share a node with the voter whose place it takes', () => {
    const leader = group([1, 2, 3]).replica(1);
    const beside = { ...address(4), node: 2 };
    expect(leader.change({ changes: [learner(4)], replicas: [beside] })).toMatchObject({
      index: 2,
    });
  });

  test('notLeader: a follower', () => {
    const follower = group([1, 2, 3]).replica(2);
    expect(follower.change({ changes: [remove(3)] })).toEqual({ refused: 'notLeader' });
  });

  test('busy: while another change is not committed', () => {
    const cluster = group([1, 2, 3]);
    const leader = cluster.replica(1);
    leader.change({ changes: [remove(3)] });
    expect(leader.change({ changes: [learner(2)] })).toEqual({ refused: 'busy' });
    cluster.settle();
    expect(leader.change({ changes: [learner(2)] })).toMatchObject({ index: 3 });
  });

  test('busy: before an entry of its own term is committed', () => {
    const cluster = new CoreCluster([1, 2, 3]);
    cluster.advance(5000);
    const leader = cluster.replica(1);
    leader.timeOut();
    for (let step = 0; step < 4; step++) cluster.deliver();
    expect([leader.core.role, leader.core.log.commit]).toEqual(['leader', 0]);
    expect(leader.change({ changes: [remove(3)] })).toEqual({ refused: 'busy' });
  });

  test('busy: in a joint configuration that is committed and not left yet', () => {
    const cluster = group([1, 2, 3], [4, 5]);
    const leader = cluster.replica(1);
    const changes = [remove(2), voter(4), voter(5)];
    leader.change({ changes, replicas: [address(4), address(5)] });
    while (leader.core.log.commit < 2) {
      cluster.collect();
      const message = cluster.inFlight.shift()!;
      if (message.to === 1) leader.core.step(message, leader.now);
      else cluster.replica(message.to).step(message);
      if (leader.core.log.commit < 2) leader.pump();
    }
    expect(leader.change({ changes: [remove(3)] })).toEqual({ refused: 'busy' });
  });

  test('busy: in a joint configuration', () => {
    const cluster = group([1, 2, 3], [4, 5]);
    cluster.isolate(4);
    cluster.isolate(5);
    const changes = [remove(2), voter(4), voter(5)];
    cluster.replica(1).change({ changes, replicas: [address(4), address(5)] });
    cluster.settle();
    expect(cluster.replica(1).change({ changes: [remove(3)] })).toEqual({ refused: 'busy' });
  });
});

describe('a leader that removes itself', () => {
  test('leads until that is committed, then hands over and steps down', () => {
    const cluster = group([1, 2, 3]);
    const leader = cluster.replica(1);
    leader.change({ changes: [remove(1)] });
    expect(leader.core.role).toBe('leader');
    cluster.settle();
    expect(leader.core.role).toBe('follower');
    const heir = cluster.replicas.find(({ core }) => core.role === 'leader');
    expect([2, 3]).toContain(heir?.id);
    leader.timeOut();
    expect(leader.core.role).toBe('follower');
    expect(leader.take()).toEqual([]);
  });

  test('does not count itself for it', () => {
    const cluster = group([1, 2, 3]);
    cluster.isolate(3);
    cluster.replica(1).change({ changes: [remove(1)] });
    cluster.settle();
    expect(cluster.replica(1).core.log.commit).toBe(1);
    cluster.heal();
    cluster.run(500);
    expect(cluster.replica(1).core.log.commit).toBe(2);
  });
});

describe('a removed replica', () => {
  test('gets nothing any more and disturbs nobody', () => {
    const cluster = group([1, 2, 3]);
    cluster.replica(1).change({ changes: [remove(3)] });
    cluster.settle();
    cluster.run(6000);
    expect(cluster.replica(1).core.role).toBe('leader');
    expect(cluster.replica(1).core.term).toBe(1);
    expect(cluster.replica(3).core.log.lastIndex).toBe(1);
  });

  test('its late answers do not count', () => {
    const cluster = group([1, 2, 3]);
    const leader = cluster.replica(1);
    leader.change({ changes: [remove(3)] });
    const reply = { shard: SHARD, from: 3, to: 1, term: 1, success: true, matchIndex: 2 };
    const conflict = { conflictTerm: 0, conflictIndex: 0, lastIndex: 2 };
    leader.step({ ...reply, ...conflict, type: 'appendReply' });
    expect(leader.core.log.commit).toBe(1);
    expect(leader.core.matchOf(3)).toBe(0);
  });
});

describe('invitations', () => {
  test('go with each heartbeat to a member that never answered in this reign', () => {
    const cluster = group([1, 2, 3], [4]);
    const leader = cluster.replica(1);
    cluster.isolate(4);
    leader.change({ changes: [learner(4)], replicas: [address(4)] });
    cluster.settle();
    cluster.run(300);
    expect(leader.invites).toHaveLength(2);
    expect(leader.invites[0]).toEqual({
      ...{ type: 'invite', shard: SHARD, from: 1, to: 4, term: 1, incarnation: 'n4' },
      logStart: { index: 0, term: 0 },
      membership: membershipOf([1, 2, 3]),
      replaces: true,
    });
    cluster.heal();
    cluster.run(300);
    const count = leader.invites.length;
    cluster.run(3000);
    expect(leader.invites).toHaveLength(count);
  });

  test('do not replace a replica of the same node that is still a member', () => {
    const cluster = group([1, 2, 3]);
    const leader = cluster.replica(1);
    leader.change({ changes: [learner(4)], replicas: [{ ...address(4), node: 3 }] });
    const inviteNow = () => {
      leader.invites = [];
      cluster.inFlight = cluster.inFlight.filter(({ to }) => to !== 4);
      leader.take();
      leader.timeOut();
      return leader.invites.find(({ to }) => to === 4)?.replaces;
    };
    cluster.deliver(({ to }) => to !== 4);
    cluster.deliver(({ to }) => to !== 4);
    expect(inviteNow()).toBe(false);
    leader.take();
    leader.change({ changes: [remove(3)] });
    expect(inviteNow(), 'the removal is not committed yet').toBe(false);
  });
});

describe('a suspect replica', () => {
  function suspect(): TestReplica {
    const replica = new TestReplica(2);
    replica.state = { ...replica.state, suspect: true };
    replica.restart();
    return replica;
  }
  const ask = { shard: SHARD, from: 1, to: 2, term: 5, lastIndex: 9, lastTerm: 4, transfer: false };

  test('does not vote', () => {
    const replica = suspect();
    replica.step({ ...ask, type: 'preVote' });
    replica.step({ ...ask, type: 'vote' });
    expect(replica.take().map((reply) => 'granted' in reply && reply.granted)).toEqual([
      false,
      false,
    ]);
  });

  test('does not campaign', () => {
    const replica = suspect();
    replica.timeOut();
    expect(replica.core.role).toBe('follower');
  });

  test('acknowledges no entry, yet answers its leader', () => {
    const replica = suspect();
    const append = { shard: SHARD, from: 1, to: 2, term: 5, prevIndex: 0, prevTerm: 0, commit: 0 };
    replica.step({ ...append, type: 'append', wantsWritten: false, entries: [] });
    expect(replica.take()).toEqual([]);
    const beat = { shard: SHARD, from: 1, to: 2, term: 5, commit: 0, round: 1, rank: 0 };
    replica.step({ ...beat, type: 'heartbeat', quiet: false });
    expect(replica.take()).toMatchObject([{ type: 'heartbeatReply' }]);
  });

  test('stays so: its facts are written again with the mark', () => {
    const replica = suspect();
    replica.step({ ...ask, type: 'vote' });
    expect(replica.state).toMatchObject({ suspect: true, hardState: { term: 5, vote: 0 } });
  });
});
