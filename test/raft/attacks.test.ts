/**
 * Sequences that an adversary would try: each one would lose an acknowledged message, serve an old
 * state, elect two leaders or stop a shard for ever, if the rule beside it were missing.
 */
import { describe, expect, test } from 'vitest';
import type { CoreMessage } from '../../raft/messages.ts';
import { CoreCluster, SHARD, TestReplica } from '../harness/raft-cluster.ts';

describe('a suspect replica (it may have forgotten terms, votes and entries)', () => {
  /**
   * 1 leads term 1 and is cut off; 2 leads term 2 and commits with 3; 3 loses records of its log,
   * comes back in term 1, and talks to 1 only.
   */
  function forgetful(): { cluster: CoreCluster; old: TestReplica } {
    const cluster = new CoreCluster([1, 2, 3]);
    const old = cluster.elect(1);
    const witness = cluster.replica(3);
    const before = { state: witness.state, synced: [...witness.synced] };
    cluster.isolate(1);
    for (const id of [2, 3]) cluster.replica(id).core.peerReset(1, cluster.replica(id).now);
    cluster.run(100);
    const next = cluster.replica(2);
    expect([next.core.role, next.core.term]).toEqual(['leader', 2]);
    next.propose('acknowledged');
    cluster.settle();
    expect(next.applied).toHaveLength(3);
    witness.state = { ...before.state, suspect: true };
    witness.synced = before.synced;
    witness.restart();
    cluster.heal();
    cluster.isolate(2);
    return { cluster, old };
  }

  test('confirms no read: it may have helped a newer leader before it forgot', () => {
    const { cluster, old } = forgetful();
    expect([old.core.role, old.core.log.commit]).toEqual(['leader', 1]);
    old.readIndex(7);
    cluster.settle();
    expect(old.confirmedReads).toEqual([]);
  });

  test('helps to commit nothing', () => {
    const { cluster, old } = forgetful();
    old.propose('would replace what was acknowledged');
    cluster.run(600);
    expect(old.core.log.commit).toBe(1);
  });
});

/** Why it is not cut off when it is damaged and all voters say that they lack it (docs/raft.md). */
test('an entry may be committed by a configuration that its replica never heard of', () => {
  const config = { voters: [1, 2], votersOutgoing: [], learners: [3], learnersNext: [] };
  const replicas = [1, 2, 3].map((id) => ({ replica: id, node: id, incarnation: 'i' }));
  const cluster = new CoreCluster([1, 2, 3], () => ({ membership: { config, replicas } }));
  const leader = cluster.elect(1);
  const [, other, learner] = cluster.replicas;
  leader.isDiskManual = true;
  leader.propose('acknowledged');
  cluster.deliver();
  cluster.cut.add('1>2');
  leader.change({ changes: [{ type: 'addVoter', node: 3 }] });
  cluster.settle();
  expect(leader.applied.at(-1)?.index).toBe(2);
  expect(leader.synced.at(-1)?.index).toBe(1);
  expect(other?.core.log.lastIndex).toBe(2);
  expect(other?.core.currentMembership.config.voters).toEqual([1, 2]);
  expect(learner?.core.currentMembership.config.voters).toEqual([1, 2, 3]);
});

describe('an invitation', () => {
  test('is no way to make a voter anew: an empty one would have forgotten its votes', () => {
    const cluster = new CoreCluster([1, 2, 3]);
    cluster.isolate(3);
    const leader = cluster.elect(1);
    cluster.run(900);
    expect(leader.invites).toEqual([]);
  });
});

describe('a quiet shard', () => {
  test('whose leader gives up notices it, although the word to its heir got lost', () => {
    const cluster = new CoreCluster([1, 2, 3]);
    const leader = cluster.elect(1);
    cluster.run(1000);
    expect(cluster.replicas.every(({ core }) => core.isQuiet)).toBe(true);
    leader.core.noteDamage({ index: 1, term: 1 });
    leader.pump();
    cluster.collect();
    cluster.inFlight = cluster.inFlight.filter(({ type }) => type !== 'timeoutNow');
    cluster.run(5000);
    expect(cluster.replicas.filter(({ core }) => core.role === 'leader')).toHaveLength(1);
  });
});

describe('an election over a network in parts', () => {
  test('is won by the one that reaches a majority, whoever else asks all the time', () => {
    const ids = [1, 2, 3, 4, 5];
    const cluster = new CoreCluster(ids);
    for (const from of [1, 2, 3, 4]) {
      for (const to of [1, 2, 3, 4]) if (from !== to) cluster.cut.add(`${from}>${to}`);
    }
    for (const id of [1, 2, 3, 4]) cluster.replica(id).timeOut();
    cluster.run(10_000);
    expect(cluster.replica(5).core.role).toBe('leader');
  });

  test('does not hold back for ever who suspects its leader', () => {
    const replica = new TestReplica(2, { voters: [1, 2, 3, 4, 5] });
    const from1 = { shard: SHARD, from: 1, to: 2, term: 1 };
    const beat = { ...from1, type: 'heartbeat', commit: 0, round: 1, rank: 0, quiet: false };
    replica.step(beat as CoreMessage);
    replica.core.peerReset(1, replica.now);
    const ask = { shard: SHARD, to: 2, term: 2, lastIndex: 0, lastTerm: 0, transfer: false };
    for (let from = 3; replica.core.role === 'follower' && replica.nowMs < 5000; from = 8 - from) {
      replica.step({ ...ask, from, type: 'preVote' });
      replica.nowMs += 100;
      if (replica.core.nextDeadlineMs <= replica.nowMs) replica.tick();
    }
    expect(replica.core.role).toBe('preCandidate');
    expect(replica.nowMs).toBeGreaterThan(1000);
    expect(replica.nowMs).toBeLessThan(2100);
  });
});

describe('leadership transfer', () => {
  test('that failed leaves no right to ignore a living leader', () => {
    const replica = new TestReplica(2);
    const from1 = { shard: SHARD, from: 1, to: 2, term: 1 };
    const beat = { ...from1, type: 'heartbeat', commit: 0, round: 1, rank: 0, quiet: false };
    replica.step(beat as CoreMessage);
    replica.step({ ...from1, type: 'timeoutNow' });
    expect(replica.core.role).toBe('candidate');
    replica.take();
    replica.timeOut();
    const asked = replica.take().filter(({ type }) => type === 'preVote');
    expect(asked).toMatchObject([{ transfer: false }, { transfer: false }]);
  });
});

describe('a learner', () => {
  test('votes when it is asked: the candidate may know that it is a voter by now', () => {
    const config = { voters: [1, 2, 3], votersOutgoing: [], learners: [4], learnersNext: [] };
    const replicas = [1, 2, 3, 4].map((id) => ({ replica: id, node: id, incarnation: 'i' }));
    const learner = new TestReplica(4, { membership: { config, replicas } });
    const vote = { shard: SHARD, from: 1, to: 4, term: 1, lastIndex: 0, lastTerm: 0 };
    learner.step({ ...vote, type: 'vote', transfer: false });
    expect(learner.take()).toMatchObject([{ type: 'voteReply', granted: true }]);
  });
});
