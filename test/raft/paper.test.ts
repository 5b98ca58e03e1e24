/** The Raft paper (extended version) and thesis, section by section: init, act, check. */
import { describe, expect, test } from 'vitest';
import type { CoreMessage } from '../../raft/messages.ts';
import { CoreCluster, entries, SHARD, TestReplica } from '../harness/raft-cluster.ts';
import { append, vote } from '../harness/raft-messages.ts';

const base = { shard: SHARD, to: 1 };

function only<Type extends CoreMessage['type']>(messages: readonly CoreMessage[], type: Type) {
  return messages.filter((message) => message.type === type) as (CoreMessage & { type: Type })[];
}

describe('5.1 terms', () => {
  test.each(['append', 'heartbeat'] as const)('%s of a newer term is followed', (type) => {
    const replica = new TestReplica(1);
    const newer = {
      ...append(5, [0, 0], []),
      type,
      round: 1,
      rank: 0,
      quiet: false,
    } as CoreMessage;
    replica.step(newer);
    expect([replica.core.role, replica.core.term, replica.core.leader]).toEqual(['follower', 5, 2]);
  });

  test('a leader that sees a newer term steps down', () => {
    const cluster = new CoreCluster([1, 2, 3]);
    const leader = cluster.elect(1);
    const reply = { ...base, from: 2, term: 9, round: 1, wallMs: 0, suspect: false, quiet: false };
    leader.step({ ...reply, type: 'heartbeatReply' });
    expect([leader.core.role, leader.core.term]).toEqual(['follower', 9]);
  });

  test('a message of an older term changes nothing and is told the newer term', () => {
    const replica = new TestReplica(1, { hardState: { term: 7 } });
    replica.step(append(6, [0, 0], [6]));
    expect([replica.core.log.lastIndex, replica.core.leader]).toEqual([0, 0]);
    expect(only(replica.take(), 'heartbeatReply')[0]?.term).toBe(7);
  });

  test('a message for another replica id is dropped', () => {
    const replica = new TestReplica(1);
    replica.step({ ...append(5, [0, 0], [5]), to: 9 });
    expect(replica.core.term).toBe(0);
  });
});

describe('5.2 leader election', () => {
  test('starts as a follower and stays one while it hears a leader', () => {
    const replica = new TestReplica(1);
    expect(replica.core.role).toBe('follower');
    for (let beat = 0; beat < 50; beat++) {
      replica.nowMs += 150;
      replica.step({
        ...append(1, [0, 0], []),
        type: 'heartbeat',
        round: beat,
        rank: 0,
        quiet: false,
      } as never);
      expect(replica.core.nextDeadlineMs).toBeGreaterThan(replica.nowMs);
    }
    expect(replica.core.role).toBe('follower');
  });

  test('a candidate votes for itself, asks everybody, and wins with a majority', () => {
    const cluster = new CoreCluster([1, 2, 3, 4, 5]);
    const candidate = cluster.replica(1);
    candidate.timeOut();
    cluster.deliver();
    cluster.deliver();
    const requests = only(cluster.inFlight, 'vote');
    expect(requests.map(({ to }) => to)).toEqual([2, 3, 4, 5]);
    expect(candidate.state.hardState).toMatchObject({ term: 1, vote: 1 });
    cluster.deliver(({ to }) => to !== 1);
    cluster.deliver(({ from }) => from === 2);
    expect(candidate.core.role).toBe('candidate');
    cluster.deliver(({ from }) => from === 3);
    expect(candidate.core.role).toBe('leader');
  });

  test('one vote per term, first come first served, also after a restart', () => {
    const replica = new TestReplica(1);
    replica.step(vote(2, 1, [0, 0]));
    replica.step(vote(3, 1, [0, 0]));
    expect(only(replica.take(), 'voteReply').map(({ granted }) => granted)).toEqual([true, false]);
    replica.restart();
    replica.step(vote(3, 1, [0, 0]));
    replica.step(vote(2, 1, [0, 0]));
    expect(only(replica.take(), 'voteReply').map(({ granted }) => granted)).toEqual([false, true]);
  });

  test('a vote leaves only after it is durable', () => {
    const replica = new TestReplica(1);
    replica.isDiskManual = true;
    replica.step(vote(2, 1, [0, 0]));
    replica.step(vote(2, 1, [0, 0]));
    expect(replica.take()).toEqual([]);
    replica.syncOne();
    expect(only(replica.take(), 'voteReply').map(({ granted }) => granted)).toEqual([true, true]);
  });

  test('a candidate does not count itself, nor ask, before its own vote is durable', () => {
    const replica = new TestReplica(1, { voters: [1] });
    replica.isDiskManual = true;
    replica.timeOut();
    expect(replica.core.role).toBe('candidate');
    replica.syncOne();
    expect(replica.core.role).toBe('leader');
  });

  test('a candidate gives way to a leader of its own term', () => {
    const cluster = new CoreCluster([1, 2, 3]);
    cluster.replica(1).timeOut();
    cluster.deliver();
    cluster.deliver();
    const candidate = cluster.replica(1);
    expect(candidate.core.role).toBe('candidate');
    candidate.step(append(1, [0, 0], []));
    expect([candidate.core.role, candidate.core.leader]).toEqual(['follower', 2]);
  });

  test('every attempt draws a new timeout in [1x, 2x)', () => {
    const draws: number[] = [];
    let seed = 0;
    const rng = () => {
      seed += 0.037;
      return seed % 1;
    };
    const replica = new TestReplica(1, { rng });
    for (let attempt = 0; attempt < 20; attempt++) {
      const started = replica.nowMs;
      draws.push(replica.core.nextDeadlineMs - started);
      replica.timeOut();
    }
    expect(new Set(draws).size).toBeGreaterThan(15);
    expect(Math.min(...draws)).toBeGreaterThanOrEqual(1000);
    expect(Math.max(...draws)).toBeLessThan(2000);
  });
});

describe('5.3 log replication', () => {
  test('entries go to followers while the leader still writes them itself', () => {
    const cluster = new CoreCluster([1, 2, 3]);
    const leader = cluster.elect(1);
    leader.isDiskManual = true;
    leader.propose('x');
    expect(only(leader.take(), 'append').map(({ to }) => to)).toEqual([2, 3]);
    expect(leader.pending).toHaveLength(1);
  });

  test('commits once a majority has it on disk, and tells followers with what comes next', () => {
    const cluster = new CoreCluster([1, 2, 3]);
    const leader = cluster.elect(1);
    cluster.replica(3).isDiskManual = true;
    leader.propose('x');
    cluster.settle();
    expect(leader.core.log.commit).toBe(2);
    leader.propose('y');
    cluster.settle();
    expect(cluster.replica(2).core.log.commit).toBe(2);
    expect(cluster.replica(2).applied.map(({ index }) => index)).toEqual([1, 2]);
  });

  test('an append is acknowledged only after it is durable', () => {
    const replica = new TestReplica(1);
    replica.step(append(1, [0, 0], []));
    replica.take();
    replica.isDiskManual = true;
    replica.step(append(1, [0, 0], [1, 1]));
    replica.step(append(1, [0, 0], [1, 1]));
    expect(replica.take()).toEqual([]);
    replica.syncOne();
    expect(only(replica.take(), 'appendReply').map(({ matchIndex }) => matchIndex)).toEqual([2, 2]);
  });

  test('a leader counts itself only once durable', () => {
    const cluster = new CoreCluster([1, 2, 3]);
    const leader = cluster.elect(1);
    leader.isDiskManual = true;
    cluster.cut.add('1>3');
    leader.propose('x');
    cluster.settle();
    expect(leader.core.log.commit).toBe(1);
    leader.sync();
    expect(leader.core.log.commit).toBe(2);
  });

  test('a majority of others commits without the leader', () => {
    const cluster = new CoreCluster([1, 2, 3]);
    const leader = cluster.elect(1);
    leader.isDiskManual = true;
    leader.propose('x');
    cluster.settle();
    expect([leader.core.log.commit, leader.core.log.durable]).toEqual([2, 1]);
  });

  test('a lone voter commits only what is durable', () => {
    const replica = new TestReplica(1, { voters: [1] });
    replica.timeOut();
    replica.isDiskManual = true;
    replica.propose('x');
    expect(replica.core.log.commit).toBe(1);
    replica.sync();
    expect(replica.core.log.commit).toBe(2);
  });

  test('refuses where the entry before is missing or of another term', () => {
    const replica = new TestReplica(1, { log: entries(1, 1, 2, 2) });
    replica.step(append(3, [7, 3], [3]));
    replica.step(append(3, [4, 3], [3]));
    const replies = only(replica.take(), 'appendReply');
    expect(
      replies.map((reply) => [reply.success, reply.conflictTerm, reply.conflictIndex]),
    ).toEqual([
      [false, 0, 5],
      [false, 2, 3],
    ]);
  });

  test('deletes a conflicting entry and all that follow it', () => {
    const replica = new TestReplica(1, { log: entries(1, 2, 2, 2) });
    replica.step(append(3, [1, 1], [3]));
    expect(replica.logTerms()).toEqual([1, 3]);
    expect(replica.synced.map(({ term }) => term)).toEqual([1, 3]);
  });

  test('a stale or repeated append never shortens the log', () => {
    const replica = new TestReplica(1);
    replica.step(append(1, [0, 0], [1, 1, 1]));
    replica.step(append(1, [0, 0], [1]));
    replica.step(append(1, [1, 1], []));
    expect(replica.logTerms()).toEqual([1, 1, 1]);
  });

  test('commits no further than this message proved', () => {
    const replica = new TestReplica(1, { log: entries(1, 2, 2) });
    replica.step(append(3, [1, 1], [], 3));
    expect(replica.core.log.commit).toBe(1);
    const beat = {
      ...append(3, [1, 1], [], 3),
      type: 'heartbeat',
      round: 1,
      rank: 0,
      quiet: false,
    } as CoreMessage;
    replica.step(beat);
    expect(replica.core.log.commit).toBe(1);
  });

  // Figure 7: a leader of term 8 with followers that lack entries, have extra ones, or both.
  test.each([
    ['a', [1, 1, 1, 4, 4, 5, 5, 6, 6]],
    ['b', [1, 1, 1, 4]],
    ['c', [1, 1, 1, 4, 4, 5, 5, 6, 6, 6, 6]],
    ['d', [1, 1, 1, 4, 4, 5, 5, 6, 6, 6, 7, 7]],
    ['e', [1, 1, 1, 4, 4, 4, 4]],
    ['f', [1, 1, 1, 2, 2, 2, 3, 3, 3, 3, 3]],
  ])("figure 7 (%s): the follower ends with the leader's log", (_, terms) => {
    const leaderTerms = [1, 1, 1, 4, 4, 5, 5, 6, 6, 6];
    const cluster = new CoreCluster([1, 2, 3], (id) => ({
      log: entries(...(id === 2 ? terms : leaderTerms)),
      hardState: { term: 7 },
    }));
    cluster.elect(1);
    cluster.run(200);
    expect(cluster.replica(2).logTerms()).toEqual([...leaderTerms, 8]);
  });

  test('backtracking takes one round trip per conflicting term', () => {
    const cluster = new CoreCluster([1, 2, 3], (id) => ({
      log: entries(1, ...Array<number>(200).fill(id === 2 ? 2 : 3)),
      hardState: { term: 3 },
    }));
    cluster.replica(1).timeOut();
    let probes = 0;
    for (let round = 0; round < 20; round++) {
      probes += only(cluster.deliver(), 'append').filter(({ to }) => to === 2).length;
    }
    expect(cluster.replica(2).logTerms().length).toBe(202);
    expect(probes).toBeLessThanOrEqual(4);
  });
});

describe('5.4 safety', () => {
  test.each([
    [[1, 1], [2, 1], true],
    [[2, 1], [1, 1], false],
    [[3, 1], [1, 2], true],
    [[1, 2], [9, 1], false],
    [[2, 2], [2, 2], true],
  ])("5.4.1: own end %j, candidate's end %j: granted %s", (own, theirs, granted) => {
    const log = entries(...Array<number>(own[0]! - 1).fill(1), own[1]!);
    const replica = new TestReplica(1, { log, hardState: { term: 2 } });
    replica.step(vote(2, 3, [theirs[0]!, theirs[1]!]));
    expect(only(replica.take(), 'voteReply')[0]?.granted).toBe(granted);
  });

  test("5.4.2, figure 8: an older term's entry is not committed by counting", () => {
    const cluster = new CoreCluster([1, 2, 3, 4, 5], (id) => ({
      log: id <= 2 ? entries(1, 2) : id === 5 ? entries(1, 3) : entries(1),
      hardState: { term: 3 },
    }));
    const leader = cluster.replica(1);
    cluster.cut.add('1>5');
    cluster.cut.add('1>4');
    cluster.advance(5000);
    leader.timeOut();
    // Votes from 2 and 3 make 1 leader of term 4; its no-op is held back from 2 and 3.
    for (let round = 0; round < 4; round++) cluster.deliver();
    expect(leader.core.role).toBe('leader');
    leader.isDiskManual = true;
    const reply = {
      ...base,
      success: true,
      conflictTerm: 0,
      conflictIndex: 0,
      lastIndex: 2,
    } as const;
    for (const from of [2, 3]) {
      leader.step({ ...reply, type: 'appendReply', from, term: 4, matchIndex: 2 });
    }
    expect(leader.core.log.commit).toBe(0);
    leader.sync();
    for (const from of [2, 3]) {
      leader.step({ ...reply, type: 'appendReply', from, term: 4, matchIndex: 3, lastIndex: 3 });
    }
    expect(leader.core.log.commit).toBe(3);
  });

  test('a new leader appends a no-op of its own term at once', () => {
    const cluster = new CoreCluster([1, 2, 3], () => ({ log: entries(1) }));
    const leader = cluster.elect(2);
    expect(leader.logTerms()).toEqual([1, 2]);
    expect(leader.applied.at(-1)?.type).toBe(0);
  });
});

describe('5.5, 5.6 crashes and timing', () => {
  test('a restarted replica keeps term, vote and log, and learns the commit index', () => {
    const cluster = new CoreCluster([1, 2, 3]);
    const leader = cluster.elect(1);
    for (let count = 0; count < 5; count++) leader.propose(`${count}`);
    cluster.run(300);
    const follower = cluster.replica(2);
    follower.restart();
    expect(follower.logTerms()).toEqual([1, 1, 1, 1, 1, 1]);
    expect(follower.state.hardState).toMatchObject({ term: 1, vote: 1 });
    leader.core.peerUp(2, leader.now);
    leader.pump();
    cluster.run(300);
    expect(follower.applied.map(({ index }) => index)).toEqual([1, 2, 3, 4, 5, 6]);
  });

  test('a lost append is sent again once the follower is known to live', () => {
    const cluster = new CoreCluster([1, 2, 3]);
    const leader = cluster.elect(1);
    leader.propose('lost');
    leader.take();
    cluster.run(600);
    expect(cluster.replica(2).core.log.lastIndex).toBe(2);
    expect(cluster.replica(3).core.log.commit).toBe(2);
  });
});

describe('8 client interaction, thesis 6.4', () => {
  test('a read waits for a round that started after it', () => {
    const cluster = new CoreCluster([1, 2, 3]);
    const leader = cluster.elect(1);
    leader.nowMs += 150;
    leader.tick();
    const older = leader.take();
    leader.readIndex(1);
    for (const message of older) cluster.replica(message.to).step(message);
    for (const id of [2, 3]) for (const reply of cluster.replica(id).take()) leader.step(reply);
    expect(leader.confirmedReads).toEqual([]);
    cluster.settle();
    expect(leader.confirmedReads).toEqual([{ id: 1, index: 1 }]);
  });

  test('no read before the own no-op is committed', () => {
    const cluster = new CoreCluster([1, 2, 3], () => ({ log: entries(1), hardState: { term: 1 } }));
    cluster.advance(5000);
    const leader = cluster.replica(1);
    leader.timeOut();
    for (let round = 0; round < 4; round++) cluster.deliver();
    expect(leader.core.role).toBe('leader');
    leader.readIndex(7);
    expect(only(leader.sent, 'heartbeat')).toEqual([]);
    cluster.settle();
    expect(leader.confirmedReads).toEqual([{ id: 7, index: 2 }]);
  });

  test('reads fail when leadership is lost', () => {
    const cluster = new CoreCluster([1, 2, 3]);
    const leader = cluster.elect(1);
    cluster.isolate(1);
    leader.readIndex(5);
    cluster.run(2500);
    expect(leader.confirmedReads).toEqual([]);
    expect(leader.failedReads).toEqual([5]);
  });
});

describe('thesis 6.2, 9.6, 4.2.3: CheckQuorum, pre-vote, stickiness', () => {
  test('a leader without quorum contact steps down within an election timeout', () => {
    const cluster = new CoreCluster([1, 2, 3]);
    const leader = cluster.elect(1);
    cluster.isolate(1);
    cluster.run(900);
    expect(leader.core.role).toBe('leader');
    cluster.run(300);
    expect(leader.core.role).not.toBe('leader');
  });

  test('a cut-off replica does not raise terms, and its return disturbs nobody', () => {
    const cluster = new CoreCluster([1, 2, 3]);
    cluster.elect(1);
    cluster.isolate(3);
    cluster.run(10_000);
    expect(cluster.replica(3).core.role).toBe('preCandidate');
    cluster.heal();
    cluster.run(3000);
    expect(cluster.replicas.map(({ core }) => core.term)).toEqual([1, 1, 1]);
    expect(cluster.replica(1).core.role).toBe('leader');
  });

  test('a pre-vote changes neither term nor vote', () => {
    const replica = new TestReplica(1, { hardState: { term: 3, vote: 2 } });
    replica.step({ ...vote(3, 9, [0, 0]), type: 'preVote' } as CoreMessage);
    expect(only(replica.take(), 'preVoteReply')[0]).toMatchObject({ granted: true, term: 9 });
    expect([replica.core.term, replica.state.hardState.vote]).toEqual([3, 2]);
  });

  test('a vote is refused while a leader was heard, but not a transfer', () => {
    const cluster = new CoreCluster([1, 2, 3]);
    cluster.elect(2);
    const follower = cluster.replica(1);
    follower.step(vote(3, 9, [1, 1]));
    expect([follower.take(), follower.core.term]).toEqual([[], 1]);
    follower.step({ ...vote(3, 9, [1, 1]), transfer: true } as CoreMessage);
    expect(only(follower.take(), 'voteReply')[0]?.granted).toBe(true);
  });

  test('a replica stranded in a higher term is taken back', () => {
    const cluster = new CoreCluster([1, 2, 3], (id) => ({
      hardState: { term: id === 3 ? 5 : 0 },
    }));
    cluster.cut.add('3>1');
    cluster.cut.add('3>2');
    cluster.elect(1);
    cluster.heal();
    cluster.run(5000);
    const terms = new Set(cluster.replicas.map(({ core }) => core.term));
    expect(terms.size).toBe(1);
    expect([...terms][0]).toBeGreaterThanOrEqual(5);
  });
});

describe('thesis 3.10 leadership transfer', () => {
  test('timeoutNow from the leader makes a follower campaign at once', () => {
    const cluster = new CoreCluster([1, 2, 3]);
    cluster.elect(1);
    cluster.replica(2).step({ shard: SHARD, from: 1, to: 2, term: 1, type: 'timeoutNow' });
    cluster.settle();
    expect(cluster.replica(2).core.role).toBe('leader');
    expect(cluster.replica(1).core.role).toBe('follower');
  });
});
