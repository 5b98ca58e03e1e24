/** Leadership on request (thesis 3.10). */
import { describe, expect, test } from 'vitest';
import { DEFAULT_RAFT_CONFIG } from '../../raft/config.ts';
import { CoreCluster, type TestReplica } from '../harness/raft-cluster.ts';
import { leading } from '../harness/raft-driver-rig.ts';

function led(): { cluster: CoreCluster; leader: TestReplica } {
  const cluster = new CoreCluster([1, 2, 3]);
  return { cluster, leader: cluster.elect(1) };
}

describe('a transfer', () => {
  test('makes the target leader at once, against all stickiness', () => {
    const { cluster, leader } = led();
    expect(leader.transferTo(2)).toBeUndefined();
    cluster.settle();
    expect(cluster.replica(2).core.role).toBe('leader');
    cluster.run(300);
    expect(leader.transferred).toEqual([{ status: 'ok' }]);
    expect(leader.nowMs).toBeLessThan(5500);
  });

  test('waits until the target has everything', () => {
    const { cluster, leader } = led();
    cluster.cut.add('1>3');
    leader.propose('x');
    cluster.settle();
    leader.transferTo(3);
    expect(leader.take().map(({ type }) => type)).not.toContain('timeoutNow');
    cluster.heal();
    cluster.run(400);
    expect(cluster.replica(3).core.role).toBe('leader');
    expect(cluster.replica(3).logTerms()).toEqual([1, 1, 2]);
  });

  test('takes no proposals meanwhile, and takes them again when it gave up', () => {
    const { cluster, leader } = led();
    cluster.isolate(3);
    leader.transferTo(3);
    expect(leader.propose('x')).toBe('notLeader');
    cluster.run(DEFAULT_RAFT_CONFIG.electionTimeoutMs - 20);
    expect(leader.transferred).toEqual([]);
    cluster.run(40);
    expect(leader.transferred).toEqual([{ status: 'timedOut' }]);
    expect(leader.propose('y')).toMatchObject({ index: 2 });
  });

  test('repeats a word that got lost', () => {
    const { cluster, leader } = led();
    leader.transferTo(2);
    cluster.collect();
    expect(cluster.inFlight.map(({ type }) => type)).toEqual(['timeoutNow']);
    cluster.inFlight = [];
    cluster.advance(200);
    leader.tick();
    cluster.deliver(({ type }) => type !== 'timeoutNow');
    cluster.inFlight = cluster.inFlight.filter(({ type }) => type !== 'timeoutNow');
    cluster.settle();
    cluster.run(300);
    expect(cluster.replica(2).core.role).toBe('leader');
  });

  test('that another won is refused', () => {
    const { cluster, leader } = led();
    cluster.isolate(2);
    leader.transferTo(2);
    cluster.collect();
    cluster.inFlight = [];
    const rival = cluster.replica(3);
    rival.step({ type: 'timeoutNow', shard: 1, from: 1, to: 3, term: 1 });
    cluster.settle();
    expect(leader.transferred).toEqual([{ status: 'refused', reason: '3 was elected instead' }]);
  });

  test('is refused to a learner, to a stranger, by a follower, and beside another', () => {
    const { cluster, leader } = led();
    leader.change({ changes: [{ type: 'addLearner', node: 3 }] });
    cluster.settle();
    expect(leader.transferTo(3)).toMatchObject({ status: 'refused' });
    expect(leader.transferTo(9)).toMatchObject({ status: 'refused' });
    expect(cluster.replica(2).transferTo(1)).toEqual({ status: 'notLeader' });
    expect(leader.transferTo(1)).toEqual({ status: 'ok' });
    leader.transferTo(2);
    expect(leader.transferTo(2)).toMatchObject({ status: 'refused' });
    expect(leader.change({ changes: [{ type: 'remove', node: 3 }] })).toEqual({ refused: 'busy' });
  });

  test('ends only by the word of its own leader', () => {
    const { cluster } = led();
    cluster.replica(2).step({ type: 'timeoutNow', shard: 1, from: 3, to: 2, term: 1 });
    expect(cluster.replica(2).core.role).toBe('follower');
  });
});

describe('through the driver', () => {
  test('goes to the voter on the node, and is answered once', () => {
    const rig = leading();
    const outcomes: string[] = [];
    rig.driver.transferLeadership(1, 2, ({ status }) => outcomes.push(status));
    rig.turns();
    const said = rig.takeSends().flatMap(({ to, messages }) => messages.map((m) => [to, m.type]));
    expect(said).toEqual([[2, 'timeoutNow']]);
    expect(rig.propose(1).outcomes).toEqual([{ status: 'notLeader' }]);
    const beat = { shard: 1, from: 12, to: 11, term: 2, commit: 0, round: 1, rank: 0 };
    rig.driver.receive(2, [{ ...beat, type: 'heartbeat', quiet: false }]);
    rig.turns();
    expect(outcomes).toEqual(['ok']);
  });

  test('that fails says again who leads', () => {
    const rig = leading();
    const outcomes: string[] = [];
    rig.driver.transferLeadership(1, 3, ({ status }) => outcomes.push(status));
    rig.turns();
    rig.events = [];
    for (let atMs = rig.nowMs; outcomes.length === 0 && atMs < 9000; atMs += 150) {
      const reply = {
        shard: 1,
        from: 12,
        to: 11,
        term: 1,
        wallMs: 0,
        suspect: false,
        quiet: false,
      };
      rig.driver.receive(2, [{ ...reply, type: 'heartbeatReply', round: 99 }]);
      rig.wake(atMs);
    }
    expect(outcomes).toEqual(['timedOut']);
    expect(rig.events).toContain('leader 1 1 1');
  });

  test.each([
    [9, 1],
    [2, 7],
  ])('is refused or not led: node %i, shard %i', (node, shard) => {
    const rig = leading();
    const outcomes: string[] = [];
    rig.driver.transferLeadership(shard, node, ({ status }) => outcomes.push(status));
    expect(outcomes).toEqual([shard === 1 ? 'refused' : 'notLeader']);
  });

  test('a removed shard answers it', () => {
    const rig = leading();
    const outcomes: string[] = [];
    rig.driver.transferLeadership(1, 3, ({ status }) => outcomes.push(status));
    rig.driver.removeShard(1);
    expect(outcomes).toEqual(['timedOut']);
  });
});
