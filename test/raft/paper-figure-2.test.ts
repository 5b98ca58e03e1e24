/**
 * Figure 2 of the Raft paper (extended version), rule by rule: one `it` per rule, in its order.
 * `paper.test.ts` goes by section and holds what the text says beyond the figure.
 */
import { describe, expect, it } from 'vitest';
import type { CoreMessage, VoteRequest } from '../../raft/messages.ts';
import { CoreCluster, entries, SHARD, TestReplica } from '../harness/raft-cluster.ts';
import { append, vote } from '../harness/raft-messages.ts';

const to1 = { shard: SHARD, to: 1 };

function only<Type extends CoreMessage['type']>(messages: readonly CoreMessage[], type: Type) {
  return messages.filter((message) => message.type === type) as (CoreMessage & { type: Type })[];
}

/** What the replica answered to this message. */
function answers<Type extends CoreMessage['type']>(
  replica: TestReplica,
  message: CoreMessage,
  type: Type,
) {
  replica.take();
  replica.step(message);
  return only(replica.take() as CoreMessage[], type);
}

describe('figure 2, state (5.1, 5.3)', () => {
  it('term, vote and log are on the disk before any answer that relies on them leaves', () => {
    const replica = new TestReplica(1);
    replica.isDiskManual = true;
    replica.step(vote(2, 3));
    replica.step(append(3, [0, 0], [3]));
    expect(only(replica.take() as CoreMessage[], 'voteReply')).toEqual([]);
    replica.sync();
    const types = replica.take().map(({ type }) => type);
    expect(types).toEqual(['voteReply', 'appendReply']);
    expect(replica.state.hardState).toMatchObject({ term: 3, vote: 2 });
    expect(replica.synced).toHaveLength(1);
  });

  it('they survive a restart', () => {
    const replica = new TestReplica(1);
    replica.step(vote(2, 3));
    replica.step(append(3, [0, 0], [3, 3]));
    replica.restart();
    expect([replica.core.term, replica.logTerms()]).toEqual([3, [3, 3]]);
    expect(answers(replica, vote(3, 3, [9, 3]), 'voteReply')[0]?.granted).toBe(false);
  });

  it('the term begins at 0 and only rises', () => {
    const replica = new TestReplica(1);
    expect(replica.core.term).toBe(0);
    const seen = [4, 2, 7, 3, 7].map((term) => {
      replica.step({ ...append(term, [0, 0], []) });
      return replica.core.term;
    });
    expect(seen).toEqual([4, 4, 7, 7, 7]);
  });

  it('the commit index and the applied index begin at 0 and only rise', () => {
    const replica = new TestReplica(1);
    expect([replica.core.log.commit, replica.core.log.applied]).toEqual([0, 0]);
    replica.step(append(1, [0, 0], [1, 1, 1], 0));
    const seen = [1, 3, 2, 0].map((commit) => {
      replica.step(append(1, [3, 1], [], commit));
      return [replica.core.log.commit, replica.core.log.applied];
    });
    expect(seen).toEqual([
      [1, 1],
      [3, 3],
      [3, 3],
      [3, 3],
    ]);
  });

  it('after an election the next index is the last one + 1 and nothing is known to match', () => {
    const cluster = new CoreCluster([1, 2, 3], () => ({ log: entries(1, 1) }));
    const leader = cluster.replica(1);
    cluster.advance(5000);
    leader.timeOut();
    for (let round = 0; round < 4; round++) cluster.deliver();
    expect(leader.core.role).toBe('leader');
    expect([leader.core.matchOf(2), leader.core.matchOf(3)]).toEqual([0, 0]);
    const appends = only(cluster.inFlight as CoreMessage[], 'append');
    expect(appends.map(({ prevIndex }) => prevIndex)).toEqual([2, 2]);
  });
});

describe('figure 2, AppendEntries at the receiver (5.1, 5.3)', () => {
  it('1: of an older term is not taken, and the sender learns the newer term', () => {
    const replica = new TestReplica(1, { hardState: { term: 5 } });
    const told = answers(replica, append(4, [0, 0], [4]), 'heartbeatReply');
    expect(told.map(({ term }) => term)).toEqual([5]);
    expect(replica.core.log.lastIndex).toBe(0);
  });

  it('2: is refused when the entry before is not here, or is of another term', () => {
    const replica = new TestReplica(1, { log: entries(1, 1) });
    const missing = answers(replica, append(2, [3, 1], [2]), 'appendReply');
    const other = answers(replica, append(2, [2, 2], [2]), 'appendReply');
    expect([missing[0]?.success, other[0]?.success]).toEqual([false, false]);
    expect(replica.logTerms()).toEqual([1, 1]);
  });

  it('3: an entry that conflicts goes, with all that follow it', () => {
    const replica = new TestReplica(1, { log: entries(1, 2, 2, 2) });
    replica.step(append(3, [1, 1], [3]));
    expect(replica.logTerms()).toEqual([1, 3]);
  });

  it('4: entries that are new are appended, those that are here stay', () => {
    const replica = new TestReplica(1, { log: entries(1, 1) });
    const before = replica.core.log.entry(2);
    replica.step(append(2, [1, 1], [1, 2, 2]));
    expect(replica.logTerms()).toEqual([1, 1, 2, 2]);
    expect(replica.core.log.entry(2)).toBe(before);
  });

  it("5: commits up to the leader's commit index, but no further than the last new entry", () => {
    const replica = new TestReplica(1, { log: entries(1, 1, 1) });
    replica.step(append(1, [1, 1], [1], 9));
    expect(replica.core.log.commit).toBe(2);
    replica.step(append(1, [2, 1], [1, 1], 3));
    expect(replica.core.log.commit).toBe(3);
  });
});

describe('figure 2, RequestVote at the receiver (5.1, 5.2, 5.4)', () => {
  it('1: of an older term is refused', () => {
    const replica = new TestReplica(1, { hardState: { term: 5 } });
    const [reply] = answers(replica, vote(2, 4), 'voteReply');
    expect(reply).toMatchObject({ granted: false, term: 5 });
  });

  it('2: is granted once per term, to a candidate whose log is up to date, to it again', () => {
    const replica = new TestReplica(1, { log: entries(1, 2) });
    const asked: [VoteRequest, boolean][] = [
      [vote(2, 3, [9, 1]), false],
      [vote(2, 3, [1, 2]), false],
      [vote(3, 3, [2, 2]), true],
      [vote(2, 3, [2, 2]), false],
      [vote(3, 3, [2, 2]), true],
      [vote(2, 4, [2, 2]), true],
    ];
    for (const [request, granted] of asked) {
      expect(answers(replica, request, 'voteReply')[0]?.granted).toBe(granted);
    }
  });
});

describe('figure 2, rules for all servers (5.1, 5.3)', () => {
  it('what is committed is applied, in order, each once', () => {
    const replica = new TestReplica(1);
    replica.step(append(1, [0, 0], [1, 1, 1], 2));
    replica.step(append(1, [3, 1], [1], 4));
    expect(replica.applied.map(({ index }) => index)).toEqual([1, 2, 3, 4]);
  });

  it.each(['append', 'appendReply', 'heartbeat', 'heartbeatReply', 'vote', 'voteReply'] as const)(
    '%s of a newer term: takes the term over and follows',
    (type) => {
      const cluster = new CoreCluster([1, 2, 3]);
      const leader = cluster.elect(1);
      const newer = {
        ...append(9, [0, 0], []),
        ...{ lastIndex: 9, lastTerm: 9, transfer: true },
        ...{ success: true, granted: false, matchIndex: 0, conflictTerm: 0, conflictIndex: 0 },
        ...{ round: 1, rank: 0, wallMs: 0, sticky: false, quiet: false },
        type,
      };
      leader.step(newer as unknown as CoreMessage);
      expect([leader.core.role, leader.core.term]).toEqual(['follower', 9]);
    },
  );
});

describe('figure 2, followers (5.2)', () => {
  it('answer candidates and leaders', () => {
    const replica = new TestReplica(1);
    expect(answers(replica, vote(2, 1), 'voteReply')).toHaveLength(1);
    expect(answers(replica, append(1, [0, 0], [1]), 'appendReply')).toHaveLength(1);
  });

  it('campaign when the timeout passes without a leader and without a vote given', () => {
    const replica = new TestReplica(1);
    const deadlines = [replica.core.nextDeadlineMs];
    replica.nowMs = 500;
    replica.step(append(1, [0, 0], []));
    deadlines.push(replica.core.nextDeadlineMs);
    replica.nowMs = 3000;
    replica.step({ ...vote(3, 2), transfer: true });
    deadlines.push(replica.core.nextDeadlineMs);
    expect(deadlines).toEqual([...new Set(deadlines)].sort((left, right) => left - right));
    replica.timeOut();
    // Thesis 9.6: it asks first whether it could win.
    expect(replica.core.role).toBe('preCandidate');
  });
});

describe('figure 2, candidates (5.2)', () => {
  function candidateOf(cluster: CoreCluster): TestReplica {
    cluster.replica(1).timeOut();
    cluster.deliver();
    cluster.deliver();
    const candidate = cluster.replica(1);
    expect(candidate.core.role).toBe('candidate');
    return candidate;
  }

  it('begin with the next term, a vote for themselves, a new timeout and a request to all', () => {
    const cluster = new CoreCluster([1, 2, 3]);
    const deadline = cluster.replica(1).core.nextDeadlineMs;
    const candidate = candidateOf(cluster);
    expect(candidate.state.hardState).toMatchObject({ term: 1, vote: 1 });
    expect(candidate.core.nextDeadlineMs).toBeGreaterThan(deadline);
    const requests = only(cluster.inFlight as CoreMessage[], 'vote');
    expect(requests.map(({ to, term }) => [to, term])).toEqual([
      [2, 1],
      [3, 1],
    ]);
  });

  it('lead with the votes of a majority, not before', () => {
    const cluster = new CoreCluster([1, 2, 3, 4, 5]);
    const candidate = candidateOf(cluster);
    const yes = { term: 1, granted: true, sticky: false, wallMs: 1000 };
    const granted = { ...to1, type: 'voteReply', ...yes } as const;
    candidate.step({ ...granted, from: 2 });
    candidate.step({ ...granted, from: 2 });
    expect(candidate.core.role).toBe('candidate');
    candidate.step({ ...granted, from: 3 });
    expect(candidate.core.role).toBe('leader');
  });

  it('follow a leader of their term', () => {
    const candidate = candidateOf(new CoreCluster([1, 2, 3]));
    candidate.step(append(1, [0, 0], []));
    expect([candidate.core.role, candidate.core.leader]).toEqual(['follower', 2]);
  });

  it('try again when the timeout passes', () => {
    const cluster = new CoreCluster([1, 2, 3]);
    const candidate = candidateOf(cluster);
    cluster.inFlight = [];
    cluster.advance(5000);
    candidate.tick();
    cluster.settle();
    expect([candidate.core.role, candidate.core.term]).toEqual(['leader', 2]);
  });
});

describe('figure 2, leaders (5.2, 5.3, 5.4)', () => {
  it('speak at once when elected, and again before a timeout could pass', () => {
    const cluster = new CoreCluster([1, 2, 3]);
    cluster.advance(5000);
    const leader = cluster.replica(1);
    leader.timeOut();
    for (let round = 0; round < 4; round++) cluster.deliver();
    expect(only(cluster.inFlight as CoreMessage[], 'append')).toHaveLength(2);
    cluster.run(10_000);
    expect(cluster.replicas.map(({ core }) => [core.term, core.leader])).toEqual(
      Array(3).fill([1, 1]),
    );
  });

  it('append what clients propose, and may answer once it is applied', () => {
    const cluster = new CoreCluster([1, 2, 3]);
    const leader = cluster.elect(1);
    cluster.isolate(1);
    const entry = leader.propose('x');
    expect([leader.core.log.lastIndex, leader.applied.length]).toEqual([2, 1]);
    cluster.heal();
    cluster.run(600);
    expect(leader.applied.at(-1)).toBe(entry);
  });

  it('send a follower everything from its next index on', () => {
    const cluster = new CoreCluster([1, 2, 3]);
    const leader = cluster.elect(1);
    leader.propose('x');
    leader.propose('y');
    const sent = only(leader.take() as CoreMessage[], 'append').filter(({ to }) => to === 2);
    expect(sent.flatMap((each) => each.entries.map(({ index }) => index))).toEqual([2, 3]);
  });

  it('a success moves the match index and the next index', () => {
    const cluster = new CoreCluster([1, 2, 3]);
    const leader = cluster.elect(1);
    leader.propose('x');
    cluster.settle();
    expect(leader.core.matchOf(2)).toBe(2);
    leader.propose('y');
    const [next] = only(leader.take() as CoreMessage[], 'append');
    expect(next?.prevIndex).toBe(2);
  });

  it('a conflict moves the next index back, until the logs agree', () => {
    const cluster = new CoreCluster([1, 2, 3], (id) => ({
      log: entries(...(id === 2 ? [1, 2, 2, 2, 2] : [1, 1, 3])),
      hardState: { term: 3 },
    }));
    cluster.elect(1);
    cluster.run(500);
    expect(cluster.replica(2).logTerms()).toEqual([1, 1, 3, 4]);
  });

  it('commit the highest index of their term that a majority has, and all before it', () => {
    const cluster = new CoreCluster([1, 2, 3, 4, 5], () => ({ log: entries(1, 1) }));
    cluster.advance(5000);
    const leader = cluster.replica(1);
    leader.timeOut();
    for (let round = 0; round < 4; round++) cluster.deliver();
    const reply = { success: true, conflictTerm: 0, conflictIndex: 0, lastIndex: 3 } as const;
    const matches = (from: number, matchIndex: number) =>
      leader.step({ ...to1, ...reply, type: 'appendReply', from, term: 2, matchIndex });
    for (const from of [2, 3, 4, 5]) matches(from, 2);
    expect(leader.core.log.commit).toBe(0);
    matches(2, 3);
    expect(leader.core.log.commit).toBe(0);
    matches(3, 3);
    expect(leader.core.log.commit).toBe(3);
  });
});
