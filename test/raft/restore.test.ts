/** What a snapshot does to the log of a follower (paper section 7), and what follows it. */
import { describe, expect, test } from 'vitest';
import {
  CoreCluster,
  entries,
  entryAt,
  membershipOf,
  SHARD,
  TestReplica,
} from '../harness/raft-cluster.ts';

const snapshot = { id: { index: 5, term: 2 }, membership: membershipOf([1, 2, 7]), timeMs: 4000 };
const append = { type: 'append', shard: SHARD, from: 1, to: 2, wantsWritten: false } as const;

function follower(...terms: number[]): TestReplica {
  return new TestReplica(2, { log: entries(...terms), hardState: { term: 3 } });
}

function pointers({ core: { log } }: TestReplica) {
  const { start, applied, commit, lastIndex, durable } = log;
  return { start: start.index, applied, commit, lastIndex, durable };
}

describe('a follower that lacks it', () => {
  test('replaces its log, in one record, and knows nothing durable before that is', () => {
    const replica = follower(1, 1);
    replica.isDiskManual = true;
    expect(replica.core.restore(snapshot, replica.now)).toBe('restored');
    replica.pump();
    const at = { start: 5, applied: 5, commit: 5, lastIndex: 5 };
    expect(pointers(replica)).toEqual({ ...at, durable: 0 });
    const [write] = replica.pending;
    expect(write?.records).toMatchObject([
      {
        kind: 'reset',
        state: { logStart: snapshot.id, membership: snapshot.membership, hardState: { commit: 5 } },
      },
    ]);
    replica.sync();
    expect(pointers(replica)).toEqual({ ...at, durable: 5 });
    expect(replica.core.log.lastTimeMs).toBe(4000);
    replica.restart();
    expect(replica.core.log.start).toEqual(snapshot.id);
  });

  test('replaces a log that has another entry there, and the rest of it', () => {
    const replica = follower(1, 1, 1, 1, 1, 1, 1);
    replica.core.restore(snapshot, replica.now);
    replica.pump();
    expect(pointers(replica)).toMatchObject({ lastIndex: 5, durable: 5 });
    expect(replica.synced).toEqual([]);
  });

  test('and whoever moves the start of the log to where it is, meanwhile, does no harm', () => {
    const replica = follower(1);
    replica.isDiskManual = true;
    replica.core.restore(snapshot, replica.now);
    replica.pump();
    replica.core.setLogStart(snapshot.id);
    replica.pump();
    expect(pointers(replica)).toMatchObject({ start: 5, durable: 0 });
  });

  test('takes the membership that it brings', () => {
    const replica = follower(1);
    replica.core.restore(snapshot, replica.now);
    expect(replica.core.currentMembership).toEqual(snapshot.membership);
  });

  test('what comes in the same turn stands behind the reset', () => {
    const replica = follower(1);
    replica.isDiskManual = true;
    replica.core.restore(snapshot, replica.now);
    const six = entryAt(6, 3);
    const behind = { prevIndex: 5, prevTerm: 2, commit: 6, entries: [six] };
    replica.step({ ...append, ...behind, term: 3 });
    expect(replica.pending[0]!.records.map(({ kind }) => kind)).toEqual(['reset', 'entry']);
    replica.sync();
    expect(replica.take()).toMatchObject([{ type: 'appendReply', success: true, matchIndex: 6 }]);
    expect(pointers(replica)).toMatchObject({ commit: 6, durable: 6 });
  });

  test('a write of the old log that ends late counts for nothing, nor do its acks', () => {
    const replica = follower(1);
    replica.isDiskManual = true;
    const old = entries(1, 2, 2, 2, 2, 2, 2).slice(1);
    const before = { prevIndex: 1, prevTerm: 1, commit: 0, entries: old };
    replica.step({ ...append, ...before, wantsWritten: true, term: 3 });
    // The same entry at 5, but not on this disk yet: the new log is the snapshot alone.
    expect(replica.core.restore(snapshot, replica.now)).toBe('restored');
    replica.pump();
    replica.syncOne();
    expect(replica.core.log.durable).toBe(0);
    expect(replica.take()).toEqual([]);
    const beat = { shard: SHARD, from: 1, to: 2, term: 3, commit: 7, round: 1, rank: 0 };
    replica.step({ ...beat, type: 'heartbeat', quiet: false });
    expect(replica.core.log.commit).toBe(5);
    replica.sync();
    expect(pointers(replica)).toMatchObject({ lastIndex: 5, durable: 5 });
  });

  test('a vote that waits for the disk is still given', () => {
    const replica = follower(1);
    replica.isDiskManual = true;
    const ask = { shard: SHARD, from: 3, to: 2, term: 9, lastIndex: 9, lastTerm: 4 };
    replica.step({ ...ask, type: 'vote', transfer: true });
    replica.core.restore(snapshot, replica.now);
    replica.sync();
    expect(replica.take()).toMatchObject([{ type: 'voteReply', granted: true }]);
  });
});

describe('a follower that has the entry', () => {
  test('keeps what follows; only the start of its log moves', () => {
    const replica = follower(1, 1, 2, 2, 2, 3, 3);
    expect(replica.core.restore(snapshot, replica.now)).toBe('restored');
    replica.pump();
    expect(pointers(replica)).toEqual({
      ...{ start: 5, applied: 5, commit: 5, lastIndex: 7, durable: 7 },
    });
    expect(replica.state.logStart).toEqual(snapshot.id);
    expect(replica.core.log.matches(7, 3)).toBe(true);
  });

  test('and has it committed, needs no snapshot', () => {
    const replica = new TestReplica(2, { log: entries(1, 2, 2, 2, 2), hardState: { commit: 5 } });
    expect(replica.core.restore(snapshot, replica.now)).toBe('useless');
  });
});

describe('no snapshot is taken', () => {
  test('by a leader or a candidate', () => {
    const replica = follower(1);
    replica.timeOut();
    expect(replica.core.restore(snapshot, replica.now)).toBe('useless');
    const alone = new TestReplica(1, { voters: [1] });
    alone.timeOut();
    expect(alone.core.role).toBe('leader');
    expect(alone.core.restore(snapshot, alone.now)).toBe('useless');
  });

  test('by a suspect replica', () => {
    const replica = follower(1);
    replica.state = { ...replica.state, suspect: true };
    replica.restart();
    expect(replica.core.restore(snapshot, replica.now)).toBe('useless');
  });
});

describe('a leader', () => {
  test('names who needs what is gone, and appends behind the snapshot when told', () => {
    const cluster = new CoreCluster([1, 2, 3]);
    cluster.isolate(3);
    const leader = cluster.elect(1);
    for (let count = 0; count < 4; count++) leader.propose('x');
    cluster.settle();
    leader.core.setLogStart({ index: 5, term: 1 });
    leader.pump();
    cluster.heal();
    cluster.run(400);
    expect(leader.core.snapshotTargets()).toEqual([3]);
    const late = cluster.replica(3);
    const restored = {
      ...snapshot,
      id: { index: 5, term: 1 },
      membership: membershipOf([1, 2, 3]),
    };
    expect(late.core.restore(restored, late.now)).toBe('restored');
    late.pump();
    leader.core.snapshotDone(3, restored.id);
    leader.propose('y');
    cluster.settle();
    expect(leader.core.snapshotTargets()).toEqual([]);
    expect(late.core.log.lastIndex).toBe(6);
    cluster.run(400);
    expect(late.core.isQuiet).toBe(true);
  });
});
