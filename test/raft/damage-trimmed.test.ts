/** A damaged entry that all other logs have left behind comes as a checkpoint, from anybody. */
import { describe, expect, test, vi } from 'vitest';
import { CoreCluster, entries, membershipOf, SHARD, TestReplica } from '../harness/raft-cluster.ts';
import { World, type WorldNode } from '../harness/raft-world.ts';

const beat = { type: 'heartbeat', shard: SHARD, from: 1, commit: 0, rank: 0 } as const;
const snapshot = { membership: membershipOf([1, 2, 3]), timeMs: 7 };

interface Stage {
  readonly world: World;
  /** Has the longest log, and a damaged entry that the other one's checkpoint covers. */
  readonly victim: WorldNode;
  readonly other: WorldNode;
}

/**
 * Two of three nodes are left. Only one could be elected, for it alone has the last entry, and it
 * may not campaign. `isApplied`: its own checkpoint is ahead of the damage.
 */
function deadlocked(isApplied: boolean): Stage {
  const world = new World(3, membershipOf([1, 2, 3]), { maxTailBytes: 1 });
  const victim = world.leader();
  const [other, third] = world.nodes.filter((node) => node !== victim) as [WorldNode, WorldNode];
  for (const text of ['a', 'b', 'c', 'd']) world.propose(text);
  world.run(500);
  world.passes = (from, to) => ![from, to].includes(other.id);
  world.propose('e');
  world.run(300);
  victim.stop();
  third.stop();
  world.passes = (from, to) => ![from, to].includes(third.id);
  other.compact();
  victim.disk.damaged.add(3);
  victim.start([{ index: 3, term: 1 }], isApplied);
  return { world, victim, other };
}

describe('the longest log has an entry damaged that the only other one has left behind', () => {
  test.each([
    ['not applied yet', false],
    ['applied', true],
  ])('%s: the checkpoint of the other, who leads nothing, ends it', (_, isApplied) => {
    const { world, victim, other } = deadlocked(isApplied);
    world.runUntil(() => victim.driver.isReady(SHARD), 5000);
    expect(
      victim.disk.records.every(({ kind }) => kind !== 'reset'),
      'its suffix stays',
    ).toBe(true);
    expect(victim.driver.logStart(SHARD)).toEqual(other.driver.logStart(SHARD));
    world.propose('f');
    world.run(500);
    for (const { texts } of [victim, other]) expect(texts).toEqual([...'abcdef']);
    world.run(2000);
    expect(other.disk.sources, 'the file is closed').toBe(0);
  });

  test('also when every third of the messages is lost', () => {
    const { world, victim } = deadlocked(false);
    const { passes } = world;
    let drawn = 7;
    world.passes = (from, to, message) => {
      drawn = (drawn * 75 + 74) % 65_537;
      return passes(from, to, message) && drawn % 3 !== 0;
    };
    world.runUntil(() => victim.driver.isReady(SHARD));
  });
});

describe('a checkpoint from a replica that does not lead', () => {
  test('is taken only for the sake of damage', () => {
    const world = new World(3, membershipOf([1, 2, 3]), { maxTailBytes: 1 });
    const leader = world.leader();
    const [late, other] = world.nodes.filter((node) => node !== leader) as [WorldNode, WorldNode];
    const { term } = leader.driver.status(SHARD);
    const address = { shard: SHARD, from: other.id, to: late.id, term };
    const part = { totalBytes: 100, offset: 0, data: new Uint8Array(0) };
    const chunk = { type: 'snapshotChunk', ...address, id: { index: 9, term }, ...part } as const;
    late.driver.receive(other.id, [chunk]);
    world.run(20);
    expect(late.disk.parts).toBeUndefined();
  });

  test('is sent to whoever asks, if the log starts late enough', () => {
    const world = new World(3, membershipOf([1, 2, 3]), { maxTailBytes: 1 });
    const leader = world.leader();
    const [asking, asked] = world.nodes.filter((node) => node !== leader) as [WorldNode, WorldNode];
    for (const text of ['a', 'b', 'c']) world.propose(text);
    world.run(500);
    const { term } = leader.driver.status(SHARD);
    const ask = { type: 'snapshotRequest', shard: SHARD, from: asking.id, to: asked.id } as const;
    const offers = (through: number): number => {
      world.sent = [];
      asked.driver.receive(asking.id, [{ ...ask, term, through }]);
      world.run(20);
      return world.sent.filter((line) => line.endsWith('snapshotChunk')).length;
    };
    expect(offers(3), 'its log is whole').toBe(0);
    asked.compact();
    expect(offers(3)).toBe(1);
    // Who asked has everything and says so.
    world.run(20);
    expect(asked.disk.sources).toBe(0);
    expect(offers(9), 'it does not cover that').toBe(0);
  });
});

describe('terms', () => {
  /**
   * An entry that is committed in a term that this replica does not know yet must not be committed
   * here: its leader of the old term may have another one there, and would be told that they match.
   */
  test('a message between drivers brings a newer one', () => {
    const world = new World(3, membershipOf([1, 2, 3]));
    const leader = world.leader();
    const other = world.nodes.find((node) => node !== leader)!;
    const address = { shard: SHARD, from: other.id, to: leader.id, term: 9 };
    const part = { totalBytes: 100, offset: 0, data: new Uint8Array(0) };
    const id = { index: 5, term: 8 };
    leader.driver.receive(other.id, [{ type: 'snapshotChunk', ...address, id, ...part }]);
    world.run(0);
    expect(leader.driver.status(SHARD)).toMatchObject({ role: 'follower', term: 9 });
  });

  test('one of an older term is not heard', () => {
    const { world, victim, other } = deadlocked(false);
    const { term } = victim.driver.status(SHARD);
    const part = { totalBytes: 100, offset: 0, data: new Uint8Array(0) };
    const address = { shard: SHARD, from: other.id, to: victim.id, term: term - 1 };
    const id = { index: 5, term: 1 };
    victim.driver.receive(other.id, [{ type: 'snapshotChunk', ...address, id, ...part }]);
    world.run(0);
    expect(victim.disk.parts).toBeUndefined();
  });
});

describe('what a checkpoint does to a log with damage', () => {
  function damaged(applied: number): TestReplica {
    const log = entries(1, 1, 2, 2, 3, 3);
    const replica = new TestReplica(2, { log, hardState: { commit: 4, term: 3 } });
    while (replica.core.log.applied < applied) {
      replica.core.appliedTo(replica.core.log.applied + 1);
    }
    replica.core.noteDamage({ index: 2, term: 1 });
    return replica;
  }

  test('its entry is in the log: what follows stays', () => {
    const replica = damaged(0);
    const id = { index: 5, term: 3 };
    expect(replica.core.restore({ ...snapshot, id }, replica.now)).toBe('restored');
    expect(replica.core.isIntact).toBe(true);
    const { lastIndex, applied } = replica.core.log;
    expect([lastIndex, applied]).toEqual([6, 5]);
  });

  test('its entry is not in the log: nothing that follows can ever be committed', () => {
    const replica = damaged(0);
    const id = { index: 5, term: 4 };
    // As the driver does with the message that brings it.
    replica.core.observeTerm(4, replica.now);
    expect(replica.core.restore({ ...snapshot, id }, replica.now)).toBe('restored');
    replica.pump();
    expect(replica.core.log.lastIndex).toBe(5);
    expect(replica.core.isIntact).toBe(true);
  });

  test('it is behind what is applied: only the start of the log moves', () => {
    const replica = damaged(4);
    const id = { index: 3, term: 2 };
    expect(replica.core.restore({ ...snapshot, id }, replica.now)).toBe('trimmed');
    replica.pump();
    const { start, applied, lastIndex } = replica.core.log;
    expect([start, applied, lastIndex]).toEqual([id, 4, 6]);
    expect(replica.core.isIntact).toBe(true);
  });

  test('it ends before the damage: it is of no use', () => {
    const replica = damaged(0);
    const id = { index: 1, term: 1 };
    expect(replica.core.restore({ ...snapshot, id }, replica.now)).toBe('useless');
  });
});

describe('a suspect replica', () => {
  test('applies nothing: what is committed may have replaced what it has left', () => {
    const hardState = { term: 5, commit: 3 };
    const replica = new TestReplica(2, { log: entries(1, 4, 4), hardState });
    expect(replica.core.log.commit).toBe(3);
    replica.state = { ...replica.state, suspect: true };
    replica.restart();
    replica.step({ ...beat, to: 2, term: 5, commit: 3, round: 1, quiet: false });
    expect(replica.core.log.commit).toBe(0);
  });

  test('says so, and gets nothing but heartbeats', () => {
    const cluster = new CoreCluster([1, 2, 3]);
    const leader = cluster.elect(1);
    cluster.settle();
    const replica = cluster.replica(3);
    replica.state = { ...replica.state, suspect: true };
    replica.restart();
    replica.step({ ...beat, to: 3, term: 1, round: 3, quiet: false });
    expect(replica.take()).toMatchObject([{ type: 'heartbeatReply', suspect: true, round: 0 }]);
    cluster.run(400);
    const step = vi.spyOn(replica, 'step');
    for (let count = 0; count < 4; count++) {
      leader.propose('x');
      cluster.run(400);
    }
    expect(leader.core.log.commit).toBe(leader.core.log.lastIndex);
    const got = new Set(step.mock.calls.map(([{ type }]) => type));
    expect([...got]).toEqual(['heartbeat']);
    expect(leader.core.needsLog(3, 1000), 'the log need not wait for it').toBe(false);
    expect(leader.core.needsLog(2, 1000)).toBe(true);
  });
});
