import { describe, expect, test } from 'vitest';
import { RaftError, RaftErrorCode } from '../../raft/errors.ts';
import { EMPTY_BYTES, type Entry } from '../../raft/types.ts';
import { entries } from '../harness/raft-cluster.ts';
import { DriverRig, leading } from '../harness/raft-driver-rig.ts';

describe('a flush', () => {
  test('gathers the proposals of one turn into one write and one append per follower', () => {
    const rig = leading();
    for (let count = 0; count < 10; count++) rig.propose(1);
    expect(rig.writes).toHaveLength(0);
    rig.turn();
    expect(rig.writes.map(({ records }) => records.length)).toEqual([10]);
    const toTwo = rig.takeSends().filter(({ to }) => to === 2);
    expect(toTwo).toHaveLength(1);
    expect(toTwo[0]).toMatchObject({ lane: 'bulk', messages: [{ entries: { length: 10 } }] });
  });

  test('is one write and one send per node and lane for all shards', () => {
    const rig = new DriverRig();
    for (const shard of [1, 2, 3]) rig.addShard(shard);
    rig.driver.start();
    rig.turns();
    rig.wake(rig.nowMs + 3000);
    const sends = rig.takeSends();
    expect(sends.map(({ to, lane }) => [to, lane])).toEqual([
      [2, 'control'],
      [3, 'control'],
    ]);
    expect(sends[0]!.messages.map((message) => 'shard' in message && message.shard)).toEqual([
      ...[1, 2, 3],
      // The sign of life, with this node's clock.
      false,
    ]);
    rig.driver.receive(
      2,
      [1, 2, 3].map((shard) => ({
        ...{ shard, from: 10 * shard + 2, to: 10 * shard + 1, term: 1 },
        ...{ type: 'preVoteReply', granted: true, sticky: false, wallMs: 1000 },
      })),
    );
    rig.turns();
    expect(rig.writes.map(({ records }) => records.length)).toEqual([3]);
  });

  test('a proposal has the time of its turn, not that of the last sign of life', () => {
    const rig = leading();
    const timeOfNext = (): number => {
      rig.propose(1);
      rig.turn();
      const [record] = rig.writes.at(-1)!.records;
      return record!.kind === 'entry' ? record!.entry.timeMs : 0;
    };
    const beforeMs = timeOfNext();
    rig.driver.receive(2, [{ type: 'alive', wallMs: rig.wallMs }]);
    rig.nowMs += 100;
    rig.wallMs += 100;
    expect(timeOfNext()).toBe(beforeMs + 100);
  });

  test('asks for onWritten only when somebody waits for it', () => {
    const rig = leading();
    rig.propose(1);
    rig.turn();
    rig.propose(1, 'leader');
    rig.turn();
    expect(rig.writes.map(({ callbacks }) => callbacks.onWritten !== undefined)).toEqual([
      false,
      true,
    ]);
  });

  test('heartbeats of all shards leave together, at multiples of the interval', () => {
    const rig = new DriverRig();
    for (const shard of [1, 2]) rig.addShard(shard);
    rig.driver.start();
    rig.turns();
    rig.lead(1);
    rig.nowMs += 37;
    rig.grant(2);
    rig.takeSends();
    rig.wake();
    expect(rig.nowMs % 150).toBe(0);
    const beats = rig.takeSends().filter(({ to }) => to === 2);
    expect(beats).toHaveLength(1);
    expect(
      beats[0]!.messages.map((message) => [message.type, 'shard' in message && message.shard]),
    ).toEqual([
      ['heartbeat', 1],
      ['heartbeat', 2],
      ['alive', false],
    ]);
  });
});

describe('answers', () => {
  test('majorityFsync: after durable on a majority and applied, with the result', () => {
    const rig = leading();
    const { id, outcomes } = rig.propose(1);
    expect(id).toMatchObject({ index: 2, term: 1 });
    rig.turn();
    rig.ack(1, 1, 2);
    expect(outcomes).toEqual([]);
    rig.sync();
    const applied = { status: 'applied', term: 1, index: 2, result: 'result 2', replicas: 2 };
    expect(outcomes).toEqual([applied]);
    expect(rig.applied).toEqual(['1:1@1', '1:2@1']);
  });

  test('leader: after its own page cache; majority: after a quorum of page caches', () => {
    const rig = leading();
    const leader = rig.propose(1, 'leader');
    const majority = rig.propose(1, 'majority');
    rig.turn();
    rig.writes[0]!.callbacks.onWritten!();
    rig.turns();
    expect(leader.outcomes).toEqual([{ status: 'written', term: 1, index: 2, replicas: 1 }]);
    expect(majority.outcomes).toEqual([]);
    const written = { shard: 1, from: 12, to: 11, term: 1, index: 3 };
    rig.driver.receive(2, [{ ...written, type: 'written' }]);
    rig.turns();
    expect(majority.outcomes).toEqual([{ status: 'written', term: 1, index: 3, replicas: 2 }]);
    expect(rig.driver.status(1).commit).toBe(1);
  });

  test('notLeader is definite and names the leader', () => {
    const rig = new DriverRig();
    rig.addShard(1);
    rig.driver.start();
    rig.turns();
    const beat = {
      shard: 1,
      from: 13,
      to: 11,
      term: 4,
      commit: 0,
      round: 1,
      rank: 0,
      quiet: false,
    };
    rig.driver.receive(3, [{ ...beat, type: 'heartbeat' }]);
    rig.turns();
    expect(rig.propose(1).outcomes).toEqual([{ status: 'notLeader', leader: 3 }]);
    expect(rig.readIndex(1)).toEqual([{ status: 'notLeader', leader: 3 }]);
    expect(rig.propose(9).outcomes).toEqual([{ status: 'notLeader' }]);
  });

  test('overloaded is definite, by entries and by bytes', () => {
    const byEntries = leading({ maxUncommittedEntries: 2 });
    const statuses = [1, 2, 3].map(() => byEntries.propose(1).outcomes[0]?.status);
    expect(statuses).toEqual([undefined, undefined, 'overloaded']);
    const byBytes = leading({ maxUncommittedBytes: 4096, maxAppendBytes: 4096 });
    const payload = new Uint8Array(4000);
    const outcomes: string[] = [];
    for (let count = 0; count < 2; count++) {
      const command = { head: EMPTY_BYTES, payload, bodyCrc: 0 };
      byBytes.driver.propose(1, command, 'majorityFsync', ({ status }) => outcomes.push(status));
    }
    expect(outcomes).toEqual(['overloaded']);
  });

  test('a deposed leader answers unknown at once, each waiter once', () => {
    const rig = leading();
    const waiting = (['majorityFsync', 'majority', 'leader'] as const).map((level) =>
      rig.propose(1, level),
    );
    const read = rig.readIndex(1);
    rig.turn();
    const beat = {
      shard: 1,
      from: 13,
      to: 11,
      term: 4,
      commit: 0,
      round: 1,
      rank: 0,
      quiet: false,
    };
    rig.driver.receive(3, [{ ...beat, type: 'heartbeat' }]);
    rig.turns();
    rig.sync();
    for (const { outcomes } of waiting) {
      expect(outcomes).toEqual([{ status: 'unknown', reason: 'deposed' }]);
    }
    expect(read).toEqual([{ status: 'notLeader', leader: 3 }]);
    expect(rig.events).toContain('deposed 1');
  });

  test('also of a reign that begins and ends between two flushes', () => {
    const rig = new DriverRig();
    rig.addShard(1);
    rig.driver.start();
    rig.turns();
    rig.wake(3000);
    const to = { shard: 1, from: 12, to: 11, term: 1, granted: true, sticky: false, wallMs: 1000 };
    rig.driver.receive(2, [{ ...to, type: 'preVoteReply' }]);
    rig.turns();
    rig.sync();
    rig.driver.receive(2, [{ ...to, type: 'voteReply' }]);
    const { id, outcomes } = rig.propose(1);
    expect(id).toMatchObject({ index: 2, term: 1 });
    const beat = { shard: 1, from: 13, to: 11, term: 4, commit: 0, round: 1, rank: 0 };
    rig.driver.receive(3, [{ ...beat, type: 'heartbeat', quiet: false }]);
    rig.turns();
    rig.sync();
    expect(outcomes).toEqual([{ status: 'unknown', reason: 'deposed' }]);
  });

  test('in one step with the replacing entry it is definite: replaced', () => {
    const rig = leading();
    const { outcomes } = rig.propose(1);
    rig.turn();
    const [entry] = entries(0, 4).slice(1);
    const newer = { shard: 1, from: 13, to: 11, term: 4, prevIndex: 1, prevTerm: 1, commit: 2 };
    rig.driver.receive(3, [{ ...newer, type: 'append', wantsWritten: false, entries: [entry!] }]);
    rig.turns();
    expect(outcomes).toEqual([{ status: 'replaced' }]);
    expect(rig.applied).toEqual(['1:1@1', '1:2@4']);
  });

  test('stop answers unknown, and later callbacks do nothing', () => {
    const rig = leading();
    const { outcomes } = rig.propose(1);
    const read = rig.readIndex(1);
    rig.turn();
    rig.driver.stop();
    expect(outcomes).toEqual([{ status: 'unknown', reason: 'stopped' }]);
    expect(read).toEqual([{ status: 'unknown' }]);
    rig.sync();
    rig.ack(1, 1, 2);
    expect([outcomes.length, rig.applied.length]).toEqual([1, 1]);
  });

  test('a read waits for its round and for apply', () => {
    const rig = leading();
    const read = rig.readIndex(1);
    rig.turns();
    const [beat] = rig.takeSends().flatMap(({ messages }) => messages);
    expect(beat).toMatchObject({ type: 'heartbeat' });
    const reply = { shard: 1, from: 12, to: 11, term: 1, wallMs: 0, suspect: false, quiet: false };
    rig.driver.receive(2, [{ ...reply, type: 'heartbeatReply', round: 1 }]);
    rig.turns();
    expect(read).toEqual([{ status: 'ok', index: 1 }]);
  });
});

describe('restart', () => {
  test('committed entries come from the store in bounded reads; shard time never falls', () => {
    const rig = new DriverRig({ maxApplyLoadBytes: 300 });
    const log = entries(...Array<number>(10).fill(2)).map((entry) => ({ ...entry, timeMs: 9000 }));
    rig.addShard(1, [1], log);
    rig.driver.start();
    rig.turns();
    rig.wake(3000);
    rig.sync();
    rig.sync();
    expect(rig.applied).toHaveLength(11);
    expect(rig.driver.cachedEntries(1, 11, 11, 1)![0]!.timeMs).toBe(9000);
    expect(rig.driver.isReady(1)).toBe(true);
    expect(rig.events).toContain('ready 1 3');
  });

  test('damage found while applying is fatal, once', () => {
    const rig = new DriverRig();
    rig.addShard(1, [1], entries(1, 1));
    rig.driver.start();
    rig.turns();
    rig.readError = new RaftError(RaftErrorCode.dataLoss, 'bit rot');
    rig.wake(3000);
    rig.sync();
    rig.sync();
    expect(rig.fatal?.message).toBe('bit rot');
    expect(rig.applied).toEqual([]);
  });
});

describe('a read that a truncation overtook', () => {
  const gone = new RaftError(RaftErrorCode.invalidConfig, 'not there any more');

  function holdReads(rig: DriverRig): (() => void)[] {
    const answers: (() => void)[] = [];
    rig.read = (_shard, _from, _to, _maxBytes, onEntries) => {
      answers.push(() => onEntries(gone, []));
    };
    return answers;
  }

  const append = { type: 'append', shard: 1, from: 13, to: 11, term: 2, commit: 0 } as const;

  test('for the time of the last entry, at boot, is no damage', () => {
    const rig = new DriverRig();
    rig.addShard(1, [1, 2, 3], entries(1, 1, 1));
    const answers = holdReads(rig);
    rig.driver.start();
    const [, two] = entries(1, 2) as [Entry, Entry];
    rig.driver.receive(3, [
      { ...append, prevIndex: 1, prevTerm: 1, wantsWritten: false, entries: [two] },
    ]);
    rig.turns();
    for (const answer of answers) answer();
    expect(rig.fatal).toBeUndefined();
    expect(rig.driver.status(1).lastIndex).toBe(2);
  });

  test('for a follower, by a leader that was deposed, is no damage', () => {
    const rig = new DriverRig();
    rig.addShard(1, [1, 2, 3], entries(1, 1, 1));
    rig.driver.start();
    rig.turns();
    rig.lead(1, 2);
    const answers = holdReads(rig);
    const refusal = { type: 'appendReply', shard: 1, from: 12, to: 11, term: 2 } as const;
    const conflict = { conflictTerm: 0, conflictIndex: 1, lastIndex: 0 };
    rig.driver.receive(2, [{ ...refusal, ...conflict, success: false, matchIndex: 3 }]);
    rig.turns();
    expect(answers).toHaveLength(1);
    const [one] = entries(3) as [Entry];
    rig.driver.receive(3, [
      { ...append, term: 3, prevIndex: 0, prevTerm: 0, wantsWritten: false, entries: [one] },
    ]);
    rig.turns();
    for (const answer of answers) answer();
    expect(rig.fatal).toBeUndefined();
    expect(rig.driver.status(1).lastIndex).toBe(1);
  });
});

describe('time', () => {
  test('a pause does not depose: waiting messages are handled before expired deadlines', () => {
    const rig = new DriverRig();
    rig.addShard(1);
    rig.driver.start();
    rig.turns();
    rig.nowMs = 60_000;
    const beat = {
      shard: 1,
      from: 13,
      to: 11,
      term: 1,
      commit: 0,
      round: 1,
      rank: 0,
      quiet: false,
    };
    rig.driver.receive(3, [{ ...beat, type: 'heartbeat' }]);
    rig.wake(60_000);
    expect(rig.driver.status(1)).toMatchObject({ role: 'follower', leader: 3 });
  });

  test('hearing a leader does not touch the timer', () => {
    const rig = new DriverRig();
    rig.addShard(1);
    rig.driver.start();
    rig.turns();
    const armed = rig.wakeAtMs;
    for (let round = 1; round < 10; round++) {
      rig.nowMs += 50;
      const beat = { shard: 1, from: 13, to: 11, term: 1, commit: 0, round, rank: 0, quiet: false };
      rig.driver.receive(3, [{ ...beat, type: 'heartbeat' }]);
      rig.turns();
    }
    expect(rig.wakeAtMs).toBe(armed);
    // 450 + one election timeout.
    rig.wake(1449);
    expect(rig.driver.status(1).role).toBe('follower');
    rig.wake(1450);
    expect(rig.driver.status(1).role).toBe('preCandidate');
  });
});

describe('views', () => {
  test('status, leader, cached entries, matches', () => {
    const rig = leading();
    rig.propose(1);
    rig.turn();
    rig.sync();
    rig.ack(1, 1, 2);
    const { driver } = rig;
    expect(driver.shards()).toEqual([1]);
    expect(driver.leaderOf(1)).toBe(1);
    expect(driver.status(1)).toEqual({
      role: 'leader',
      term: 1,
      leader: 1,
      commit: 2,
      applied: 2,
      lastIndex: 2,
      durable: 2,
      ready: true,
      replicas: [
        { replica: 11, node: 1, matchIndex: 2, role: 'leader' },
        { replica: 12, node: 2, matchIndex: 2, role: 'voter' },
        { replica: 13, node: 3, matchIndex: 0, role: 'voter' },
      ],
    });
    expect(driver.matchedByAll(1)).toBe(0);
    expect(driver.cachedEntries(1, 1, 5, 10_000)).toHaveLength(2);
    expect(driver.cachedEntries(1, 3, 5, 10_000)).toBeUndefined();
  });

  test('setLogStart writes the facts again and forgets what lies below', () => {
    const rig = leading();
    rig.propose(1);
    rig.turn();
    rig.ack(1, 1, 2);
    rig.sync();
    rig.driver.setLogStart(1, { index: 1, term: 1 });
    rig.turn();
    expect(rig.writes[0]!.records).toMatchObject([
      {
        kind: 'state',
        state: { logStart: { index: 1, term: 1 }, hardState: { term: 1, vote: 11 } },
      },
    ]);
    expect(rig.driver.cachedEntries(1, 1, 2, 100)).toBeUndefined();
    expect(() => rig.driver.setLogStart(1, { index: 9, term: 1 })).toThrow(/applied/);
  });
});
