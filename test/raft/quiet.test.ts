/** Quiet groups (docs/raft.md): when a shard rests, what wakes it, and that it stays Raft. */
import { describe, expect, test } from 'vitest';
import { DEFAULT_RAFT_CONFIG } from '../../raft/config.ts';
import { NodeLiveness } from '../../raft/driver-liveness.ts';
import { CoreCluster, entries, entryAt, SHARD, TestReplica } from '../harness/raft-cluster.ts';
import { DriverRig } from '../harness/raft-driver-rig.ts';

const { electionTimeoutMs, quietRefreshMs } = DEFAULT_RAFT_CONFIG;

function resting(ids: readonly number[] = [1, 2, 3]): CoreCluster {
  const cluster = new CoreCluster(ids);
  cluster.advance(1);
  cluster.elect(1);
  cluster.run(400);
  expect(quietOnes(cluster)).toEqual(ids);
  return cluster;
}

function quietOnes(cluster: CoreCluster): number[] {
  return cluster.replicas.filter(({ core }) => core.isQuiet).map(({ id }) => id);
}

describe('a group rests', () => {
  test('when all have everything: no message and no deadline until the next refresh', () => {
    const cluster = resting();
    cluster.run(1000);
    const terms = cluster.replicas.map(({ core }) => core.term);
    const deadlines = cluster.replicas.map(({ core, nowMs }) => core.nextDeadlineMs - nowMs);
    expect(Math.min(...deadlines)).toBeGreaterThan(quietRefreshMs - 2000);
    cluster.run(3 * quietRefreshMs, 100);
    expect(cluster.replicas.map(({ core }) => core.term)).toEqual(terms);
    expect(quietOnes(cluster)).toEqual([1, 2, 3]);
  });

  test('alone: a single replica asks nobody', () => {
    expect(quietOnes(resting([1]))).toEqual([1]);
  });

  test('not while one member is missing', () => {
    const cluster = new CoreCluster([1, 2, 3]);
    cluster.isolate(3);
    cluster.elect(1);
    cluster.run(3000);
    expect(quietOnes(cluster)).toEqual([]);
    cluster.heal();
    cluster.run(3000);
    expect(quietOnes(cluster)).toEqual([1, 2, 3]);
  });

  test('not before every member said so for the same round', () => {
    const cluster = resting();
    cluster.isolate(3);
    cluster.replica(1).readIndex(1);
    cluster.run(800);
    expect(quietOnes(cluster)).not.toContain(1);
  });

  test('not while its own log is not durable', () => {
    const cluster = resting();
    cluster.replica(1).isDiskManual = true;
    cluster.replica(1).propose('x');
    cluster.run(600);
    expect(cluster.replica(1).core.log.commit).toBe(2);
    expect(quietOnes(cluster)).not.toContain(1);
  });

  const beat = { type: 'heartbeat', shard: SHARD, from: 1, round: 99, rank: 0 } as const;

  test('a follower that is behind does not', () => {
    const replica = resting().replica(2);
    replica.step({ ...beat, to: 2, term: 1, commit: 5, quiet: true });
    expect(replica.core.isQuiet).toBe(false);
    expect(replica.take()).toMatchObject([{ type: 'heartbeatReply', quiet: false }]);
  });

  test('nor one with entries that the leader has not proved, or that are not on its disk', () => {
    const stranger = new TestReplica(2, { log: entries(1, 1) });
    stranger.step({ ...beat, to: 2, term: 3, commit: 2, quiet: true });
    expect(stranger.core.isQuiet).toBe(false);
    const ahead = resting().replica(2);
    ahead.isDiskManual = true;
    const append = { shard: SHARD, from: 1, to: 2, term: 1, prevIndex: 1, prevTerm: 1, commit: 1 };
    const two = entryAt(2, 1);
    ahead.step({ ...append, type: 'append', wantsWritten: false, entries: [two] });
    ahead.step({ ...beat, to: 2, term: 1, commit: 1, quiet: true });
    expect(ahead.core.isQuiet).toBe(false);
  });

  test('an answer to an earlier round does not count', () => {
    const cluster = resting();
    cluster.replica(1).propose('x');
    cluster.settle();
    cluster.isolate(3);
    cluster.run(300);
    const stale = { type: 'heartbeatReply', shard: SHARD, from: 3, to: 1, term: 1 } as const;
    cluster.replica(1).step({ ...stale, round: 1, wallMs: 0, suspect: false, quiet: true });
    expect(cluster.replica(1).core.isQuiet).toBe(false);
  });
});

describe('a resting follower', () => {
  const request = { shard: SHARD, to: 2, term: 9, lastIndex: 1, lastTerm: 1, transfer: false };

  test('shields its leader long after an election timeout', () => {
    const cluster = resting();
    cluster.advance(10 * electionTimeoutMs);
    const replica = cluster.replica(2);
    replica.step({ ...request, type: 'preVote', from: 3 });
    expect(replica.take()).toMatchObject([{ type: 'preVoteReply', granted: false, sticky: true }]);
    expect(replica.core.isQuiet).toBe(false);
  });

  test('wakes with a fresh timer when somebody asks for a vote', () => {
    const cluster = resting();
    cluster.advance(5000);
    const replica = cluster.replica(2);
    replica.step({ ...request, type: 'vote', from: 3 });
    expect(replica.core.term).toBe(1);
    const left = replica.core.nextDeadlineMs - replica.nowMs;
    expect(left).toBeGreaterThanOrEqual(electionTimeoutMs);
    expect(left).toBeLessThan(2 * electionTimeoutMs);
  });

  test('shields no leader that asks for votes itself', () => {
    const cluster = resting();
    const replica = cluster.replica(2);
    replica.step({ ...request, type: 'preVote', from: 1 });
    expect(replica.take()).toMatchObject([{ type: 'preVoteReply', granted: true }]);
  });

  test('an old request of its leader, from before its election, proves nothing', () => {
    const replica = resting().replica(2);
    replica.step({ ...request, type: 'preVote', from: 1, term: 1 });
    replica.step({ ...request, type: 'preVote', from: 3 });
    expect(replica.take().at(-1)).toMatchObject({ granted: false, sticky: true });
  });

  test('campaigns early when the connection to its leader is reset', () => {
    const cluster = resting();
    cluster.advance(5000);
    const replica = cluster.replica(2);
    replica.core.peerReset(1, replica.now);
    expect(replica.core.nextDeadlineMs - replica.nowMs).toBeLessThan(50);
  });

  test('campaigns early when the node of its leader is silent', () => {
    const cluster = resting();
    cluster.advance(5000);
    const replica = cluster.replica(2);
    replica.core.peerSilent(1, replica.nowMs - electionTimeoutMs, replica.now);
    expect(replica.core.nextDeadlineMs - replica.nowMs).toBeLessThan(50);
    replica.timeOut();
    expect(replica.core.role).toBe('preCandidate');
  });

  test('shields a silent leader until it notices too, and no longer', () => {
    const cluster = resting();
    cluster.advance(5000);
    const replica = cluster.replica(2);
    replica.step({ ...request, type: 'preVote', from: 3 });
    expect(replica.take()).toMatchObject([{ type: 'preVoteReply', granted: false, sticky: true }]);
    replica.core.peerSilent(1, replica.nowMs - electionTimeoutMs, replica.now);
    replica.pump();
    expect(replica.take()).toMatchObject([{ type: 'preVoteReply', granted: true, to: 3 }]);
  });

  test('a request from before the last heartbeat is forgotten', () => {
    const cluster = resting();
    const replica = cluster.replica(2);
    replica.step({ ...request, type: 'preVote', from: 3 });
    const beat = { shard: SHARD, from: 1, to: 2, term: 1, commit: 1, rank: 0, quiet: false };
    replica.step({ ...beat, type: 'heartbeat', round: 9 });
    replica.take();
    replica.core.peerReset(1, replica.now);
    replica.pump();
    expect(replica.take()).toEqual([]);
    expect(replica.core.nextDeadlineMs - replica.nowMs).toBeLessThan(50);
  });

  test('silence of another follower does not wake it', () => {
    const replica = resting().replica(2);
    replica.core.peerSilent(3, 0, replica.now);
    expect(replica.core.isQuiet).toBe(true);
  });

  test('times out in the end when every wake-up got lost', () => {
    const cluster = resting();
    cluster.isolate(1);
    cluster.run(2 * quietRefreshMs + 3 * electionTimeoutMs, 50);
    expect(cluster.replicas.filter(({ core }) => core.role === 'leader')).toHaveLength(1);
    expect(cluster.replica(1).core.role).not.toBe('leader');
  });
});

describe('a resting leader', () => {
  test('wakes when a member is no longer quiet', () => {
    const leader = resting().replica(1);
    const reply = { type: 'heartbeatReply', shard: SHARD, from: 3, to: 1, term: 1 } as const;
    leader.step({ ...reply, round: 1, wallMs: 0, suspect: false, quiet: false });
    expect(leader.core.isQuiet).toBe(false);
  });

  test.each(['peerUp', 'peerReset'] as const)('speaks at once on %s of a member', (event) => {
    const leader = resting().replica(1);
    leader.core[event](3, leader.now);
    leader.pump();
    expect(leader.take().map(({ type, to }) => `${type} ${to}`)).toContain('heartbeat 2');
    expect(leader.core.isQuiet).toBe(false);
  });

  test('takes a read after a fresh round, which wakes the others', () => {
    const cluster = resting();
    cluster.replica(1).readIndex(7);
    cluster.deliver();
    expect(quietOnes(cluster)).toEqual([]);
    cluster.settle();
    expect(cluster.replica(1).confirmedReads).toEqual([{ id: 7, index: 1 }]);
  });

  test('steps down when the nodes of a majority are silent (CheckQuorum)', () => {
    const cluster = resting();
    cluster.advance(5000);
    const leader = cluster.replica(1);
    const heardMs = leader.nowMs - electionTimeoutMs;
    leader.core.peerSilent(2, heardMs, leader.now);
    leader.core.peerSilent(3, heardMs, leader.now);
    leader.timeOut();
    expect(leader.core.role).toBe('follower');
  });

  test('is not deposed for the time in which it asked nobody', () => {
    const cluster = resting();
    cluster.advance(20_000);
    const leader = cluster.replica(1);
    leader.propose('x');
    leader.timeOut();
    expect(leader.core.role).toBe('leader');
  });
});

describe('the driver', () => {
  function restingRig(): DriverRig {
    const rig = new DriverRig();
    rig.addShard(1);
    rig.driver.start();
    rig.turns();
    const log = { prevIndex: 0, prevTerm: 0, commit: 0, wantsWritten: false, entries: [] };
    const leader = { shard: 1, from: 13, to: 11, term: 4 };
    rig.driver.receive(3, [{ ...leader, ...log, type: 'append' }]);
    const beat = { ...leader, commit: 0, round: 1, rank: 0, quiet: true };
    rig.driver.receive(3, [{ ...beat, type: 'heartbeat' }]);
    rig.turns();
    rig.sync();
    rig.takeSends();
    return rig;
  }

  test('tells each node once per interval that this one lives, and nothing else', () => {
    const rig = restingRig();
    for (const atMs of [150, 300, 450]) {
      rig.wake(atMs);
      rig.driver.receive(3, [{ type: 'alive', wallMs: 0 }]);
      expect(rig.isIdle, 'a sign of life is no work').toBe(true);
      expect(rig.takeSends()).toEqual([
        { to: 3, lane: 'control', messages: [{ type: 'alive', wallMs: 1000 }] },
        { to: 2, lane: 'control', messages: [{ type: 'alive', wallMs: 1000 }] },
      ]);
    }
    expect(rig.writes).toEqual([]);
  });

  test('each node is told of life and clock beside a heartbeat', () => {
    const rig = new DriverRig();
    rig.addShard(1);
    rig.driver.start();
    rig.turns();
    rig.lead(1);
    rig.takeSends();
    rig.wake();
    const types = rig
      .takeSends()
      .map(({ to, messages }) => [to, ...messages.map(({ type }) => type)]);
    expect(types).toEqual([
      [2, 'heartbeat', 'alive'],
      [3, 'heartbeat', 'alive'],
    ]);
  });

  test('wakes the shards of a node that fell silent', () => {
    const rig = restingRig();
    for (let atMs = 150; atMs <= 900; atMs += 150) rig.wake(atMs);
    expect(rig.driver.status(1).role).toBe('follower');
    for (let atMs = 1050; atMs <= 2100; atMs += 150) rig.wake(atMs);
    expect(rig.driver.status(1).role).toBe('preCandidate');
  });

  test('not those of one that spoke about anything', () => {
    const rig = restingRig();
    for (let atMs = 150; atMs <= 9000; atMs += 150) {
      rig.driver.receive(3, [{ type: 'alive', wallMs: 0 }]);
      rig.wake(atMs);
    }
    expect(rig.driver.status(1)).toMatchObject({ role: 'follower', leader: 3 });
  });

  test('says who is silent, and who is heard again', () => {
    const rig = restingRig();
    const said = () => rig.events.filter((event) => event.startsWith('node'));
    for (let atMs = 150; atMs <= 2100; atMs += 150) rig.wake(atMs);
    expect(said()).toEqual(['node 3 silent', 'node 2 silent']);
    rig.driver.receive(3, [{ type: 'alive', wallMs: 0 }]);
    rig.driver.receive(3, [{ type: 'alive', wallMs: 0 }]);
    rig.driver.peerUp(2);
    expect(said().slice(2)).toEqual(['node 3 heard', 'node 2 heard']);
  });

  test('reports a silent node once per silence', () => {
    const liveness = new NodeLiveness(1, { electionTimeoutMs: 100, heartbeatIntervalMs: 10 });
    const nodes = new Set([2]);
    const at = (nowMs: number) => liveness.newlySilent(nodes, nowMs);
    expect([at(0), at(99)]).toEqual([[], []]);
    expect([at(100), at(200)]).toEqual([[{ node: 2, heardMs: 0 }], []]);
    liveness.heard(2, 250);
    expect([at(349), at(350)]).toEqual([[], [{ node: 2, heardMs: 250 }]]);
  });
});
