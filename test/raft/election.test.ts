/**
 * Early campaigns after a reset of the leader's control connection (internals rule 11), and boot.
 */
import { describe, expect, test } from 'vitest';
import { DEFAULT_RAFT_CONFIG } from '../../raft/config.ts';
import { RaftCore } from '../../raft/core.ts';
import type { CoreMessage } from '../../raft/messages.ts';
import { CoreCluster, entries, SHARD, TestReplica } from '../harness/raft-cluster.ts';

function resetLeader(cluster: CoreCluster, leader: number, followers: readonly number[]): void {
  cluster.isolate(leader);
  for (const id of followers) {
    const follower = cluster.replica(id);
    follower.core.peerReset(leader, follower.now);
    follower.pump();
  }
}

/** A led cluster whose followers know their ranks. */
function ledBy(leader: number): CoreCluster {
  const cluster = new CoreCluster([1, 2, 3]);
  cluster.elect(leader);
  cluster.run(300);
  return cluster;
}

describe('early campaign', () => {
  test('the best-placed follower leads long before the election timeout', () => {
    const cluster = ledBy(1);
    resetLeader(cluster, 1, [2, 3]);
    cluster.run(30, 1);
    expect(cluster.replica(2).core.role).toBe('leader');
    expect(cluster.replica(3).core.leader).toBe(2);
  });

  test('ranks follow the match index, told with heartbeats', () => {
    const cluster = ledBy(1);
    cluster.cut.add('1>2');
    cluster.replica(1).propose('only 3 has it');
    cluster.settle();
    cluster.heal();
    cluster.cut.add('2>1');
    cluster.run(150);
    resetLeader(cluster, 1, [2, 3]);
    cluster.run(30, 1);
    expect(cluster.replica(3).core.role).toBe('leader');
  });

  test('ranks wait for each other: the second campaigns only after 30 ms', () => {
    const cluster = ledBy(1);
    const [first, second] = [cluster.replica(2), cluster.replica(3)];
    resetLeader(cluster, 1, [2, 3]);
    expect(first.core.nextDeadlineMs - first.nowMs).toBeLessThan(15);
    const delayMs = second.core.nextDeadlineMs - second.nowMs;
    expect(delayMs).toBeGreaterThanOrEqual(30);
    expect(delayMs).toBeLessThan(45);
  });

  test('a heartbeat of the same leader and term cancels', () => {
    const cluster = ledBy(1);
    const follower = cluster.replica(2);
    follower.core.peerReset(1, follower.now);
    const heartbeat = {
      shard: SHARD,
      from: 1,
      to: 2,
      term: 1,
      commit: 1,
      round: 99,
      rank: 0,
      quiet: false,
    };
    follower.step({ ...heartbeat, type: 'heartbeat' });
    expect(follower.core.nextDeadlineMs - follower.nowMs).toBeGreaterThanOrEqual(1000);
  });

  test('a reconnect gives the leader two heartbeats to show itself', () => {
    const cluster = ledBy(1);
    const follower = cluster.replica(2);
    follower.core.peerReset(1, follower.now);
    follower.core.peerUp(1, follower.now);
    expect(follower.core.nextDeadlineMs - follower.nowMs).toBe(300);
  });

  test('bulk bytes that were under way do not restore trust', () => {
    const cluster = ledBy(1);
    const follower = cluster.replica(2);
    follower.core.peerReset(1, follower.now);
    const deadline = follower.core.nextDeadlineMs;
    const late = { shard: SHARD, from: 1, to: 2, term: 1, prevIndex: 1, prevTerm: 1, commit: 1 };
    follower.step({ ...late, type: 'append', wantsWritten: false, entries: [] });
    expect(follower.core.nextDeadlineMs).toBe(deadline);
  });

  test('a refusal for stickiness is taken back when the refuser sees the reset too', () => {
    const cluster = ledBy(1);
    resetLeader(cluster, 1, [2]);
    cluster.run(10, 1);
    expect(cluster.replica(2).core.role).toBe('preCandidate');
    const refuser = cluster.replica(3);
    refuser.core.peerReset(1, refuser.now);
    refuser.pump();
    cluster.settle();
    expect(cluster.replica(2).core.role).toBe('leader');
  });

  test('otherwise it is asked three more times, 50 ms apart, and then left alone', () => {
    const cluster = ledBy(1);
    resetLeader(cluster, 1, [2]);
    let asked = 0;
    for (let ms = 0; ms < 400; ms++) {
      cluster.advance(1);
      const candidate = cluster.replica(2);
      if (candidate.core.nextDeadlineMs <= candidate.nowMs) candidate.tick();
      cluster.collect();
      const toThree = cluster.inFlight.filter(({ type, to }) => type === 'preVote' && to === 3);
      asked += toThree.length;
      cluster.settle();
    }
    expect(asked).toBe(4);
    expect(cluster.replica(3).core.leader).toBe(1);
    expect(cluster.replica(2).core.term).toBe(1);
  });

  test("a reset of somebody else's connection means nothing", () => {
    const cluster = ledBy(1);
    const follower = cluster.replica(2);
    const deadline = follower.core.nextDeadlineMs;
    follower.core.peerReset(3, follower.now);
    expect(follower.core.nextDeadlineMs).toBe(deadline);
  });
});

describe('two pre-candidates', () => {
  test('exactly one withdraws, so that the votes are not split', () => {
    const cluster = new CoreCluster([1, 2, 3]);
    cluster.isolate(3);
    cluster.replica(1).timeOut();
    cluster.replica(2).timeOut();
    cluster.settle();
    expect(cluster.replicas.map(({ core }) => core.role)).toEqual([
      'leader',
      'follower',
      'follower',
    ]);
    expect(cluster.replica(1).core.term).toBe(1);
  });

  test('a voter that was about to campaign gives up after granting a real vote', () => {
    const replica = new TestReplica(1, { hardState: { term: 1 } });
    replica.timeOut();
    expect(replica.core.role).toBe('preCandidate');
    const request = { shard: SHARD, from: 3, to: 1, term: 1, lastIndex: 0, lastTerm: 0 };
    replica.step({ ...request, type: 'vote', transfer: false });
    expect(replica.core.role).toBe('follower');
    expect(replica.take().some(({ type }) => type === 'voteReply')).toBe(true);
  });
});

describe('boot', () => {
  const boot = { config: { bootDelayMs: 50 } };

  test('the replica that the shard number points at campaigns first', () => {
    const deadlines = [1, 2, 3].map((id) => new TestReplica(id, boot).core.nextDeadlineMs);
    expect(deadlines.map((ms) => ms < 71)).toEqual([false, true, false]);
  });

  test('and asks again whoever connects later', () => {
    const replica = new TestReplica(2, boot);
    replica.timeOut();
    replica.take();
    replica.core.peerUp(3, replica.now);
    replica.pump();
    expect(replica.take().map(({ type, to }) => [type, to])).toEqual([['preVote', 3]]);
  });

  test('a replica that does not know the time of its last entry does not campaign', () => {
    const options = { voters: [1], log: entries(1) };
    const known = new TestReplica(1, options);
    const { core } = known;
    const blind = new RaftCore({
      recovered: known.recovered(),
      applied: 0,
      config: DEFAULT_RAFT_CONFIG,
      rng: () => 0,
    });
    blind.start({ nowMs: 0, wallMs: 0 });
    blind.tick({ nowMs: 5000, wallMs: 0 });
    core.tick({ nowMs: 5000, wallMs: 0 });
    expect([blind.role, core.role]).toEqual(['follower', 'candidate']);
  });
});

describe('learners', () => {
  const membership = {
    config: { voters: [2], votersOutgoing: [], learners: [1], learnersNext: [] },
    replicas: [1, 2].map((id) => ({ replica: id, node: id, incarnation: 'x' })),
  };

  test('never campaign, but vote when asked', () => {
    const learner = new TestReplica(1, { membership });
    learner.timeOut();
    expect(learner.core.role).toBe('follower');
    const request = { shard: SHARD, from: 2, to: 1, term: 4, lastIndex: 0, lastTerm: 0 };
    learner.step({ ...request, type: 'vote', transfer: false } as CoreMessage);
    expect(learner.take()).toMatchObject([{ type: 'voteReply', granted: true }]);
  });

  test('are replicated to and count in no quorum', () => {
    const cluster = new CoreCluster([1, 2], () => ({ membership }));
    const leader = cluster.elect(2);
    cluster.replica(1).isDiskManual = true;
    leader.propose('x');
    cluster.settle();
    expect(leader.core.log.commit).toBe(2);
    expect(cluster.replica(1).core.log.lastIndex).toBe(2);
  });
});

test('joint consensus: a leader needs both majorities', () => {
  const membership = {
    config: { voters: [1, 2, 3], votersOutgoing: [1, 4, 5], learners: [], learnersNext: [] },
    replicas: [1, 2, 3, 4, 5].map((id) => ({ replica: id, node: id, incarnation: 'x' })),
  };
  const cluster = new CoreCluster([1, 2, 3, 4, 5], () => ({ membership }));
  cluster.isolate(4);
  cluster.isolate(5);
  cluster.advance(5000);
  cluster.replica(1).timeOut();
  cluster.settle();
  expect(cluster.replica(1).core.role).toBe('preCandidate');
  cluster.heal();
  cluster.isolate(5);
  cluster.elect(1);
});
