/** Each invariant against small histories written by hand: good ones pass, bad ones do not. */
import { describe, expect, it } from 'vitest';
import type { PeerMessage } from '../../../raft/messages.ts';
import { type Configuration, type Entry, EntryType } from '../../../raft/types.ts';
import type { ApplyResult, Command } from '../../../src/broker/commands.ts';
import { AckedPresent } from '../../../src/sim/invariants/acked-present.ts';
import { AppliedOnce } from '../../../src/sim/invariants/applied-once.ts';
import { AppliedState } from '../../../src/sim/invariants/applied-state.ts';
import { ClosedQueues } from '../../../src/sim/invariants/closed-queues.ts';
import { brokenStep, ConfigRules } from '../../../src/sim/invariants/config-rules.ts';
import { CopiedBodies } from '../../../src/sim/invariants/copied-bodies.ts';
import { DelayHidden } from '../../../src/sim/invariants/delay-hidden.ts';
import { DenseOffsets } from '../../../src/sim/invariants/dense-offsets.ts';
import { ElectionSafety } from '../../../src/sim/invariants/election-safety.ts';
import { FencedQueues } from '../../../src/sim/invariants/fenced-queues.ts';
import { HalfHidden } from '../../../src/sim/invariants/half-hidden.ts';
import { HardStateOnlyRises } from '../../../src/sim/invariants/hard-state.ts';
import { LeaderAppendOnly } from '../../../src/sim/invariants/leader-append-only.ts';
import { expectLeaderComplete } from '../../../src/sim/invariants/leader-completeness.ts';
import { expectLogsMatch } from '../../../src/sim/invariants/log-matching.ts';
import { OwnTermCommits } from '../../../src/sim/invariants/own-term.ts';
import { Promises } from '../../../src/sim/invariants/promises.ts';
import { LinearisableReads } from '../../../src/sim/invariants/read-index.ts';
import { RowPlaces } from '../../../src/sim/invariants/row-places.ts';
import { latestMedian, ShardTimeRule } from '../../../src/sim/invariants/shard-time.ts';
import { Committed, expectOnQuorum } from '../../../src/sim/invariants/state-machine-safety.ts';
import { isQuorum, type LogView } from '../../../src/sim/invariants/views.ts';
import { bodyOf } from '../../../src/sim/workload/values.ts';

const PLACE = { node: 1, shard: 0 };
const NOBODY = { votersOutgoing: [], learners: [], learnersNext: [] };
const THREE: Configuration = { voters: [1, 2, 3], ...NOBODY };
const PRODUCE: Extract<Command, { type: 'produce' }> = {
  type: 'produce',
  queueId: 1,
  count: 1,
  durability: 1,
  producer: { producerId: 'p', producerEpoch: 1, sequence: 0 },
};

function entry(index: number, term: number, tag = `${index}-${term}`, timeMs = index): Entry {
  const body = bodyOf(PRODUCE, { tag, batch: `b${tag}` });
  return { index, term, type: EntryType.command, timeMs, ...body };
}

/** A log whose entries have these terms. */
function log(terms: readonly number[], options: { base?: number; replica?: number } = {}): LogView {
  const { base = 0, replica = 1 } = options;
  const entries = terms.map((term, at) => entry(base + at + 1, term));
  return {
    state: {
      hardState: { term: 2, vote: 2, commit: 0 },
      replica,
      logStart: { index: base, term: 0 },
      membership: { config: THREE, replicas: [] },
    },
    base,
    lastIndex: base + terms.length,
    entry: (index) => entries[index - base - 1],
  };
}

const vote = (from: number, to: number, term = 2): PeerMessage => ({
  type: 'voteReply',
  shard: 0,
  from,
  to,
  term,
  granted: true,
  sticky: false,
  wallMs: 0,
});

describe('election safety', () => {
  it('one leader with a majority of votes', () => {
    const safety = new ElectionSafety();
    safety.sent(vote(2, 1));
    safety.leads(0, 2, 1, 1, THREE);
    safety.leads(0, 2, 1, 1, THREE);
    expect(safety.count).toBe(1);
  });

  it('two leaders of one term', () => {
    const safety = new ElectionSafety();
    for (const message of [vote(2, 1), vote(2, 3)]) safety.sent(message);
    safety.leads(0, 2, 1, 1, THREE);
    expect(() => safety.leads(0, 2, 3, 3, THREE)).toThrow('one-leader');
  });

  it.each([
    ['without votes', THREE, []],
    ['with a vote of another term', THREE, [vote(2, 1, 1)]],
    ['with the vote of a learner', { ...THREE, learners: [9] }, [vote(9, 1)]],
    ['without the outgoing majority', { ...THREE, votersOutgoing: [4, 5, 6] }, [vote(2, 1)]],
  ] as const)('a leader %s', (_, config, votes) => {
    const safety = new ElectionSafety();
    for (const message of votes) safety.sent(message);
    expect(() => safety.leads(0, 2, 1, 1, config)).toThrow('elected-by-quorum');
  });
});

describe('leader completeness', () => {
  const committed = [entry(1, 1), entry(2, 1)];
  it.each([
    ['all of it', log([1, 1, 2]), 3],
    ['trimmed', log([], { base: 2 }), 2],
  ])('a leader with %s', (_, view, last) => {
    expect(() => expectLeaderComplete(0, 2, committed, view, last)).not.toThrow();
  });
  it.each([
    ['too short a log', log([1]), 1],
    ['another entry', log([1, 2]), 2],
  ])('a leader with %s', (_, view, last) => {
    expect(() => expectLeaderComplete(0, 2, committed, view, last)).toThrow('leader-complete');
  });
  it('a leader of an older term, elected late', () => {
    const newer = [entry(1, 1), entry(2, 3)];
    expect(() => expectLeaderComplete(0, 2, newer, log([1]), 1)).not.toThrow();
    expect(() => expectLeaderComplete(0, 3, newer, log([1]), 1)).toThrow('leader-complete');
  });
});

describe('log matching', () => {
  it('logs that part ways after a common prefix', () => {
    const logs = [log([1, 1, 2]), log([1, 1, 3, 3]), log([3], { base: 2 })];
    expect(() => expectLogsMatch(0, logs)).not.toThrow();
  });

  it('the same term at an index over different entries', () => {
    const other = log([1, 1, 2]);
    const forged = { ...other, entry: (index: number) => entry(index, 2, 'forged') };
    expect(() => expectLogsMatch(0, [other, forged])).toThrow('log-matching');
  });
});

describe('state machine safety', () => {
  it('every replica applies the same', () => {
    const committed = new Committed();
    expect(committed.applied(0, entry(1, 1))).toBe(true);
    expect(committed.applied(0, entry(1, 1))).toBe(false);
    expect(committed.of(0)).toHaveLength(1);
  });

  it('another entry at the index, a hole, time that falls', () => {
    const committed = new Committed();
    committed.applied(0, entry(1, 1));
    expect(() => committed.applied(0, entry(1, 2))).toThrow('committed-stable');
    expect(() => committed.applied(0, entry(3, 1))).toThrow('committed-dense');
    expect(() => committed.applied(0, entry(2, 1, 'x', 0))).toThrow('time-never-falls');
  });

  it('a quorum of disks, of one configuration in force', () => {
    const held = [log([1], { replica: 1 }), log([1], { replica: 2 }), log([], { replica: 3 })];
    expect(() => expectOnQuorum(0, entry(1, 1), [THREE], held)).not.toThrow();
    const larger = { ...THREE, voters: [1, 2, 3, 4, 5] };
    expect(() => expectOnQuorum(0, entry(1, 1), [larger, THREE], held)).not.toThrow();
    expect(() => expectOnQuorum(0, entry(1, 1), [larger], held)).toThrow('committed-durable');
    expect(() => expectOnQuorum(0, entry(1, 2), [THREE], held)).toThrow('committed-durable');
  });

  it('both halves count, learners do not', () => {
    const joint = { voters: [1, 2, 3], votersOutgoing: [3, 4, 5] };
    expect(isQuorum(joint, new Set([2, 3, 4]))).toBe(true);
    expect(isQuorum(joint, new Set([1, 2, 3]))).toBe(false);
    expect(isQuorum({ voters: [1, 2, 3, 4], votersOutgoing: [] }, new Set([1, 2]))).toBe(false);
  });
});

describe('leader append-only', () => {
  it('a log that grows, is trimmed, or belongs to another reign', () => {
    const rule = new LeaderAppendOnly();
    rule.looks(PLACE, 2, log([1, 2]));
    rule.looks(PLACE, 2, log([1, 2, 2]));
    rule.looks(PLACE, 2, log([2], { base: 3 }));
    rule.looks(PLACE, 4, log([1, 4]));
    rule.ended(PLACE);
    rule.looks(PLACE, 4, log([1]));
  });

  it('a leader that deletes, or overwrites', () => {
    const rule = new LeaderAppendOnly();
    rule.looks(PLACE, 2, log([1, 2]));
    expect(() => rule.looks(PLACE, 2, log([1]))).toThrow('leader-append-only');
    expect(() => rule.looks(PLACE, 2, log([1, 1]))).toThrow('leader-append-only');
  });
});

describe('shard time', () => {
  const START = 1_000_000;
  const entryAt = (index: number, timeMs: number, term = 2) => ({ index, term, timeMs });

  /** Entry 1 was proposed at 0; the next one at `atMs` is judged. */
  function judged(timeMs: number, atMs: number, medianMs: number | undefined, beforeTerm = 2) {
    const rule = new ShardTimeRule();
    rule.proposed(0, entryAt(1, START), 1, 0, START);
    return () => rule.proposed(0, entryAt(2, timeMs), beforeTerm, atMs, medianMs);
  }

  it('near the median, or later than the last entry by what has passed', () => {
    judged(START, 10, START - 9000)();
    judged(START + 9250, 10, START + 9000)();
    judged(START + 1000, 1000, START - 9000)();
    judged(START + 90_000, 10, undefined)();
  });

  it('ahead of the median by more than that', () => {
    expect(judged(START + 10_000, 10, START + 9000)).toThrow('shard-time-near-the-median');
    expect(judged(START + 2000, 1000, START - 9000)).toThrow('shard-time-near-the-median');
  });

  it('falls', () => {
    expect(judged(START - 1, 10, START)).toThrow('shard-time-never-falls');
    // Of another history: entry 1 of that term was met nowhere.
    judged(START - 1, 10, START, 1)();
  });

  it('begins with what the clocks show', () => {
    const rule = new ShardTimeRule();
    rule.begins(0, entryAt(1, START), START + 5000);
    expect(() => rule.begins(0, entryAt(1, 0), START)).toThrow('shard-time-begins-now');
  });

  it('is judged where an entry is met first', () => {
    const rule = new ShardTimeRule();
    expect(rule.isNew(0, entryAt(1, 0))).toBe(true);
    rule.proposed(0, entryAt(1, 0), undefined, 0, 0);
    expect([rule.isNew(0, entryAt(1, 0)), rule.isNew(0, entryAt(1, 0, 3))]).toEqual([false, true]);
  });

  it('the median is that of the voters, of the later half where two rule', () => {
    const replicas = [1, 2, 3, 4, 5].map((replica) => ({ replica, node: 10 * replica }));
    const clockOf = (node: number) => (node === 50 ? undefined : node);
    const median = (voters: number[], votersOutgoing: number[] = []) =>
      latestMedian({ voters, votersOutgoing }, replicas, clockOf);
    expect([median([1, 2, 3]), median([1, 2]), median([1, 2, 4, 5])]).toEqual([20, 20, 40]);
    expect([median([1, 2, 3], [3, 4, 1]), median([4, 5])]).toEqual([30, undefined]);
  });
});

describe('commit of the own term only', () => {
  it('own entries, and what was known committed before', () => {
    const rule = new OwnTermCommits();
    rule.leads(PLACE, 3, 2);
    rule.committed(PLACE, 3, 2, 1);
    rule.committed(PLACE, 3, 4, 3);
  });

  it('an older entry counted as committed (figure 8)', () => {
    const rule = new OwnTermCommits();
    rule.leads(PLACE, 3, 2);
    expect(() => rule.committed(PLACE, 3, 3, 2)).toThrow('own-term-commit');
  });
});

describe('promises', () => {
  const ack = (matchIndex: number, term = 2): PeerMessage => ({
    type: 'appendReply',
    shard: 0,
    from: 1,
    to: 2,
    term,
    success: true,
    matchIndex,
    conflictTerm: 0,
    conflictIndex: 0,
    lastIndex: 0,
  });

  it('durable votes and entries', () => {
    const promises = new Promises();
    promises.sent(vote(1, 2), log([1, 1]));
    promises.sent(ack(2), log([1, 1]));
    // A later term cut the log since.
    promises.sent(ack(5, 1), log([1, 1]));
  });

  it.each([
    ['a vote for another', vote(1, 3), 'vote-durable'],
    ['a vote of a term to come', vote(1, 2, 3), 'vote-durable'],
    ['an entry that is not there', ack(3), 'ack-durable'],
  ] as const)('%s', (_, message, invariant) => {
    expect(() => new Promises().sent(message, log([1, 1]))).toThrow(invariant);
  });

  it('a second vote in a term', () => {
    const promises = new Promises();
    promises.sent(vote(1, 2), log([]));
    const forgetful = { ...log([]), state: { ...log([]).state } };
    forgetful.state = { ...forgetful.state, hardState: { term: 2, vote: 3, commit: 0 } };
    expect(() => promises.sent(vote(1, 3), forgetful)).toThrow('one-vote');
  });
});

describe('hard state only rises', () => {
  it('terms rise, a vote is cast once, a new replica begins anew', () => {
    const rule = new HardStateOnlyRises();
    rule.durable(PLACE, 1, { term: 1, vote: 0, commit: 0 });
    rule.durable(PLACE, 1, { term: 1, vote: 2, commit: 0 });
    rule.durable(PLACE, 1, { term: 2, vote: 0, commit: 0 });
    rule.durable(PLACE, 7, { term: 0, vote: 0, commit: 0 });
    rule.commits(PLACE, 5);
    rule.ended(PLACE);
    rule.commits(PLACE, 3);
  });

  it('a term that falls, a vote that changes, a commit that falls', () => {
    const rule = new HardStateOnlyRises();
    rule.durable(PLACE, 1, { term: 2, vote: 3, commit: 0 });
    expect(() => rule.durable(PLACE, 1, { term: 1, vote: 0, commit: 0 })).toThrow('term-never');
    expect(() => rule.durable(PLACE, 1, { term: 2, vote: 1, commit: 0 })).toThrow('vote-stays');
    rule.commits(PLACE, 5);
    expect(() => rule.commits(PLACE, 4)).toThrow('commit-never-falls');
  });
});

describe('configurations', () => {
  const joint: Configuration = { ...THREE, voters: [1, 4, 5], votersOutgoing: [1, 2, 3] };
  it.each([
    ['a voter more', THREE, { ...THREE, voters: [1, 2, 3, 4] }],
    ['a learner more', THREE, { ...THREE, learners: [4] }],
    ['joint', THREE, joint],
    ['joint left', joint, { ...THREE, voters: [1, 4, 5] }],
  ])('%s', (_, before, after) => {
    expect(brokenStep(before, after)).toBeUndefined();
  });
  it.each([
    ['two voters at once', THREE, { ...THREE, voters: [1, 2, 4] }],
    ['nobody', THREE, { ...THREE, voters: [] }],
    ['joint from joint', joint, { ...joint, voters: [1] }],
    ['joint left for another', joint, { ...THREE, voters: [1, 4] }],
    ['joint from strangers', THREE, { ...joint, votersOutgoing: [7, 8, 9] }],
  ])('%s', (_, before, after) => {
    expect(brokenStep(before, after)).toBeDefined();
    const rules = new ConfigRules();
    rules.born(0, before);
    expect(() => rules.committed(0, 1, after)).toThrow('config-step');
  });

  it('two open changes', () => {
    const rules = new ConfigRules();
    const config = (index: number): Entry => ({ ...entry(index, 2), type: EntryType.config });
    const view = { ...log([2, 2, 2]), entry: (index: number) => config(index) };
    expect(() => rules.expectOneUncommitted(0, 2, 2, view)).not.toThrow();
    expect(() => rules.expectOneUncommitted(0, 2, 1, view)).toThrow('one-config-change');
    // A leader of term 3 that does not know yet how much of it is committed.
    expect(() => rules.expectOneUncommitted(0, 3, 1, view)).not.toThrow();
  });
});

describe('queues', () => {
  const row = (index: number, baseOffset: number, count = 1) => ({
    queueId: 1,
    baseOffset,
    count,
    index,
    term: 1,
    storedAtMs: 0,
    cumulativeBytes: 0,
  });

  it('dense offsets', () => {
    const dense = new DenseOffsets();
    dense.shows(row(1, 0, 3));
    dense.shows(row(2, 3));
    expect(() => dense.shows(row(3, 5))).toThrow('dense-offsets');
    expect(() => dense.shows(row(3, 3))).toThrow('dense-offsets');
  });

  const end = (decision: 'commit' | 'rollback'): Command => ({
    type: 'end',
    producerGroup: 'g',
    transaction: { by: 'id', id: { term: 1, index: 1 } },
    decision,
  });

  it('half messages appear by their commit, once', () => {
    const hidden = new HalfHidden(new CopiedBodies());
    hidden.shows(0, entry(5, 1), PRODUCE, row(5, 0));
    hidden.prepared(0, 1);
    hidden.shows(0, entry(2, 1), end('commit'), row(1, 0));
    expect(() => hidden.shows(0, entry(3, 1), end('commit'), row(1, 1))).toThrow('half-hidden');
  });

  it.each([
    ['with the prepare itself', PRODUCE, 2],
    ['by a rollback', end('rollback'), 2],
    ['that nobody prepared', end('commit'), 3],
    ['by nothing', undefined, 2],
  ])('half messages %s', (_, command, index) => {
    const hidden = new HalfHidden(new CopiedBodies());
    hidden.prepared(0, 2);
    expect(() => hidden.shows(0, entry(4, 1), command, row(index, 0))).toThrow('half-hidden');
  });

  it('bodies that were appended again appear where the last copy lies', () => {
    const copies = new CopiedBodies();
    const hidden = new HalfHidden(copies);
    hidden.prepared(0, 1);
    const copy = (index: number, from: number, moved = true) => {
      const at = { id: { term: 1, index: 1 }, from: { term: 1, index: from } };
      copies.applied(
        0,
        entry(index, 1),
        { type: 'copy', owner: 'half', ...at },
        {
          ...{ type: 'copied', moved },
        },
      );
    };
    copy(3, 1);
    copy(5, 3);
    copy(6, 3, false);
    for (const index of [1, 3]) {
      const shows = () => hidden.shows(0, entry(7, 1), end('commit'), row(index, 0));
      expect(shows).toThrow('body-place');
    }
    hidden.shows(0, entry(7, 1), end('commit'), row(5, 0));
    expect(() => hidden.shows(0, entry(8, 1), end('commit'), row(5, 1))).toThrow('half-hidden');
  });

  it('what a queue shows keeps all but its place, and stays above every trim point', () => {
    const places = (): RowPlaces => {
      const found = new RowPlaces();
      found.shows(0, row(5, 0), 'b1');
      return found;
    };
    const starts = (start: number) => () => start;
    const one = places();
    one.trimmed(0, 4, starts(0));
    expect(() => one.trimmed(0, 5, starts(0))).toThrow('row-there');
    one.moves(0, row(8, 0), 'b1');
    one.trimmed(0, 7, starts(0));
    expect(() => one.trimmed(0, 8, starts(0))).toThrow('row-there');
    one.trimmed(0, 8, starts(1));
    expect(() => one.moves(0, row(9, 0), 'b1')).toThrow('row-body');
    expect(() => places().moves(0, row(8, 0), 'b2')).toThrow('row-body');
    expect(() => places().moves(0, row(4, 0), 'b1')).toThrow('row-kept');
    expect(() => places().moves(0, { ...row(8, 0), count: 2 }, 'b1')).toThrow('row-kept');
  });

  it('one row takes the place of several that stood next to each other, and of all of each', () => {
    const places = (): RowPlaces => {
      const found = new RowPlaces();
      for (const at of [0, 2, 4]) found.shows(0, row(5 + at, at, 2), `b${at}`);
      return found;
    };
    const one = places();
    one.merges(0, row(12, 0, 4), [1], 0);
    one.merges(0, row(13, 0, 6), [3], 0);
    one.merges(0, row(14, 0, 6), [], 0);
    one.trimmed(0, 13, () => 0);
    expect(() => one.trimmed(0, 14, () => 0)).toThrow('row-there');
    const wrong = [
      [row(12, 0, 4), []],
      [row(12, 0, 4), [0]],
      [row(12, 0, 3), [1]],
      [row(12, 1, 3), [1]],
      [row(12, 0, 8), [1, 3, 5]],
      [{ ...row(12, 0, 4), queueId: 2 }, [1]],
    ] as const;
    for (const [merged, replaced] of wrong) {
      expect(() => places().merges(0, merged, replaced, 0)).toThrow('row-stretch');
    }
    expect(() => places().merges(0, row(6, 0, 4), [1], 0)).toThrow('row-kept');
    // Of the first one everything was deleted.
    const begun = places();
    begun.trimmed(0, 4, () => 2);
    begun.merges(0, row(12, 0, 6), [1, 3], 2);
    const alone = places();
    alone.trimmed(0, 4, () => 2);
    expect(() => alone.merges(0, row(12, 0, 6), [1], 2)).toThrow('row-stretch');
    const later = { ...row(12, 0, 4), storedAtMs: 1 };
    expect(() => places().merges(0, later, [1], 0)).toThrow('row-kept');
  });

  describe('delayed messages', () => {
    const at = (index: number, timeMs: number) => entry(index, 1, `${index}`, timeMs);
    const later: Command = { ...PRODUCE, producer: undefined, deliverAtMs: 100 };
    const place = { at: { term: 1, index: 1 }, baseOffset: undefined };
    const delayed = { type: 'produced', ...place, count: 1, duplicate: false } as const;
    function waiting(): DelayHidden {
      const hidden = new DelayHidden(new CopiedBodies());
      hidden.applied(0, at(1, 10), later, delayed);
      return hidden;
    }

    it('appear at their time or later, once', () => {
      const hidden = waiting();
      hidden.shows(0, at(2, 100), row(1, 0));
      expect(() => hidden.shows(0, at(3, 101), row(1, 1))).toThrow('delay-once');
    });

    it('not before', () => {
      expect(() => waiting().shows(0, at(2, 99), row(1, 0))).toThrow('delay-early');
    });

    it('nothing else appears like them', () => {
      expect(() => waiting().shows(0, at(3, 200), row(2, 0))).toThrow('delay-once');
      const prompt = new DelayHidden(new CopiedBodies());
      prompt.applied(0, at(1, 10), later, { ...delayed, baseOffset: 0 });
      expect(() => prompt.shows(0, at(3, 200), row(1, 0))).toThrow('delay-once');
    });

    it('recalled once, and gone', () => {
      const hidden = waiting();
      const recall = () =>
        hidden.applied(0, at(2, 50), { type: 'recall', index: 1 }, { type: 'recalled', count: 1 });
      recall();
      expect(recall).toThrow('delay-recalled');
      expect(() => hidden.shows(0, at(3, 200), row(1, 0))).toThrow('delay-once');
    });
  });

  it('a request takes effect once, repeats do not', () => {
    const once = new AppliedOnce();
    const at = { term: 1, index: 1 };
    const produced = { type: 'produced', at, baseOffset: 0, count: 1, duplicate: false } as const;
    once.applied(0, entry(1, 1, 'a'), PRODUCE, produced);
    once.applied(0, entry(2, 1, 'b'), PRODUCE, { ...produced, duplicate: true });
    expect(once.has('b')).toBe(true);
    expect(() => once.applied(0, entry(3, 1, 'c'), PRODUCE, produced)).toThrow('applied-once');
    const again = { ...produced, duplicate: true };
    expect(() => once.applied(0, entry(4, 1, 'a'), PRODUCE, again)).toThrow('committed-once');
  });
});

describe('closed queues', () => {
  it('show nothing any more', () => {
    const queues = new ClosedQueues();
    queues.shows({ queueId: 1, baseOffset: 0 });
    queues.closes(1);
    expect(() => queues.shows({ queueId: 2, baseOffset: 0 })).not.toThrow();
    expect(() => queues.shows({ queueId: 1, baseOffset: 1 })).toThrow('closed-queue');
  });
});

describe('fenced queues', () => {
  const fence: Command = { type: 'fenceQueue', queueId: 1, minQueueEpoch: 3 };
  const stored = { type: 'produced', duplicate: false } as ApplyResult;

  it('take only what was picked at the fence or later, and repeat old answers', () => {
    const queues = new FencedQueues();
    queues.applied({ index: 1 }, PRODUCE, stored);
    queues.applied({ index: 2 }, fence, { type: 'done' });
    queues.applied({ index: 3 }, { ...fence, minQueueEpoch: 2 }, { type: 'done' });
    queues.applied({ index: 4 }, { ...PRODUCE, queueEpoch: 3 }, stored);
    queues.applied({ index: 5 }, PRODUCE, { ...stored, duplicate: true } as ApplyResult);
    const old = { ...PRODUCE, queueEpoch: 2 };
    expect(() => queues.applied({ index: 6 }, old, stored)).toThrow('fenced-write');
  });

  it('parts of transactions count as well', () => {
    const queues = new FencedQueues();
    queues.applied({ index: 2 }, fence, { type: 'done' });
    const transaction = { shard: 1, term: 1, index: 1 };
    const part: Command = { type: 'preparePart', transaction, part: 0, queueId: 1, count: 1 };
    const at = (index: number): ApplyResult => ({ type: 'partPrepared', at: { term: 1, index } });
    queues.applied({ index: 5 }, part, at(1));
    expect(() => queues.applied({ index: 5 }, part, at(5))).toThrow('fenced-write');
  });
});

describe('clients', () => {
  it('reads see what was acknowledged or read before', () => {
    const reads = new LinearisableReads();
    reads.acked(0, 3);
    reads.answered(0, reads.floor(0), 4, 4);
    expect(reads.floor(0)).toBe(4);
    expect(() => reads.answered(0, reads.floor(0), 3, 9)).toThrow('read-fresh');
    expect(() => reads.answered(0, 0, 5, 4)).toThrow('read-applied');
  });

  it('replicas agree on the state after each index', () => {
    const state = new AppliedState();
    state.at(0, 1, 77);
    state.at(0, 1, 77);
    state.at(1, 1, 78);
    expect(() => state.at(0, 1, 78)).toThrow('same-state');
  });

  it('what was acknowledged stays', () => {
    const acks = new AckedPresent();
    const committed = [entry(1, 1, 'a')];
    acks.acked({ shard: 0, index: 1, tag: 'a' }, committed);
    acks.refused('b');
    acks.expectAll(
      () => committed,
      () => false,
    );
    expect(() => acks.acked({ shard: 0, index: 1, tag: 'z' }, committed)).toThrow('acked-surv');
    expect(acks.count).toBe(2);
    const lost = () =>
      acks.expectAll(
        () => [entry(1, 2, 'other')],
        () => false,
      );
    expect(lost).toThrow('acked-survives');
  });

  it('what was refused stays out', () => {
    const acks = new AckedPresent();
    acks.refused('b');
    const all = () =>
      acks.expectAll(
        () => [],
        (tag) => tag === 'b',
      );
    expect(all).toThrow('refused-stays-out');
  });
});
