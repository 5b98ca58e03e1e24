/** Damaged bodies: who keeps still meanwhile, and how they come back (internals rule 2). */
import { describe, expect, test } from 'vitest';
import {
  CoreCluster,
  entries,
  entryAt,
  membershipOf,
  SHARD,
  TestReplica,
} from '../harness/raft-cluster.ts';
import { World, type WorldNode } from '../harness/raft-world.ts';

const three = { index: 3, term: 1 };
const ask = { shard: SHARD, from: 1, to: 2, term: 5, lastIndex: 9, lastTerm: 4, transfer: false };
const append = { type: 'append', shard: SHARD, from: 1, to: 2, wantsWritten: false } as const;

function damagedReplica(): TestReplica {
  const replica = new TestReplica(2, { log: entries(1, 1, 1, 1) });
  expect(replica.core.noteDamage(three)).toBe(true);
  return replica;
}

describe('a replica with a damaged entry', () => {
  test('votes: what it knows of its log is certain', () => {
    const replica = damagedReplica();
    replica.step({ ...ask, type: 'vote' });
    expect(replica.take()).toMatchObject([{ type: 'voteReply', granted: true }]);
  });

  test('does not campaign, neither by timeout nor on request', () => {
    const replica = damagedReplica();
    replica.step({ ...append, term: 2, prevIndex: 4, prevTerm: 1, commit: 4, entries: [] });
    replica.step({ type: 'timeoutNow', shard: SHARD, from: 1, to: 2, term: 2 });
    expect(replica.core.role).toBe('follower');
    replica.timeOut();
    expect(replica.core.role).toBe('follower');
  });

  test('hands over when it leads', () => {
    const cluster = new CoreCluster([1, 2, 3]);
    const leader = cluster.elect(1);
    leader.propose('x');
    cluster.settle();
    leader.core.noteDamage({ index: 2, term: 1 });
    leader.pump();
    expect(leader.core.role).toBe('follower');
    cluster.settle();
    expect(cluster.replicas.some(({ core }) => core.role === 'leader')).toBe(true);
  });

  test('gives up a campaign', () => {
    const replica = new TestReplica(2, { log: entries(1, 1, 1) });
    replica.timeOut();
    replica.core.noteDamage(three);
    expect(replica.core.role).toBe('follower');
  });

  test('is never quiet', () => {
    const cluster = new CoreCluster([1, 2, 3]);
    cluster.elect(1);
    cluster.replica(2).core.noteDamage({ index: 1, term: 1 });
    cluster.run(1000);
    expect(cluster.replica(1).core.isQuiet).toBe(false);
    expect(cluster.replica(2).core.isQuiet).toBe(false);
  });

  test('campaigns again once the repair is durable, not before', () => {
    const replica = damagedReplica();
    replica.isDiskManual = true;
    replica.core.repair(entryAt(3, 1));
    replica.pump();
    expect(replica.pending[0]?.records).toMatchObject([{ kind: 'repair', entry: { index: 3 } }]);
    expect(replica.core.isIntact).toBe(false);
    replica.sync();
    expect(replica.core.isIntact).toBe(true);
    replica.timeOut();
    expect(replica.core.role).toBe('preCandidate');
  });

  test('takes no other entry for it', () => {
    const replica = damagedReplica();
    replica.core.repair(entryAt(3, 2));
    replica.core.repair(entryAt(4, 1));
    replica.pump();
    expect(replica.pending).toEqual([]);
    expect(replica.core.isIntact).toBe(false);
  });

  test('forgets it with the log that it was in', () => {
    const truncated = damagedReplica();
    const newer = entryAt(2, 7);
    truncated.core.repair(entryAt(3, 1));
    truncated.core.step(
      { ...append, term: 7, prevIndex: 1, prevTerm: 1, commit: 0, entries: [newer] },
      truncated.now,
    );
    truncated.isDiskManual = true;
    truncated.pump();
    expect(truncated.core.isIntact).toBe(true);
    const kinds = truncated.pending.flatMap(({ records }) => records.map(({ kind }) => kind));
    expect(kinds).toEqual(['state', 'entry']);
    const replaced = damagedReplica();
    replaced.step({ ...append, term: 3, prevIndex: 4, prevTerm: 1, commit: 0, entries: [] });
    const id = { index: 9, term: 3 };
    replaced.core.restore({ id, membership: membershipOf([1, 2, 3]), timeMs: 0 }, replaced.now);
    replaced.pump();
    expect(replaced.core.isIntact).toBe(true);
  });

  test('ignores damage to what it does not have', () => {
    const replica = damagedReplica();
    for (const id of [{ index: 0, term: 0 }, { index: 9, term: 1 }, { index: 2, term: 5 }, three]) {
      expect(replica.core.noteDamage(id)).toBe(false);
    }
  });
});

/** Three nodes that hold five entries, none of them in memory. */
function grown(): { world: World; leader: WorldNode; others: WorldNode[] } {
  const world = new World(3, membershipOf([1, 2, 3]), { maxTailBytes: 1 });
  const leader = world.leader();
  for (const text of ['a', 'b', 'c', 'd']) world.propose(text);
  world.run(500);
  return { world, leader, others: world.nodes.filter((node) => node !== leader) };
}

describe('between nodes', () => {
  test('what recovery found is repaired, then applied', () => {
    const { world, others } = grown();
    const [victim] = others as [WorldNode];
    victim.disk.damaged.add(3);
    victim.start([three]);
    world.runUntil(() => victim.appliedIndex === 5);
    expect(victim.texts).toEqual(['a', 'b', 'c', 'd']);
    expect(victim.disk.records.filter(({ kind }) => kind === 'repair')).toHaveLength(1);
    expect(victim.disk.failedReads, 'what is known to fail is not tried').toBe(0);
    expect(victim.driver.status(SHARD).damaged).toBeUndefined();
  });

  test('what only a read finds is, too, and so is the last entry', () => {
    const { world, others } = grown();
    const [victim] = others as [WorldNode];
    victim.disk.damaged.add(3).add(5);
    victim.start();
    world.runUntil(() => victim.appliedIndex === 5);
    expect(victim.fatal).toBeUndefined();
    expect(victim.disk.records.filter(({ kind }) => kind === 'repair')).toHaveLength(2);
  });

  test('a leader that reads damage for a follower is followed by another, and repaired', () => {
    const { world, leader, others } = grown();
    const [late, other] = others as [WorldNode, WorldNode];
    world.passes = (from, to) => from !== late.id && to !== late.id;
    for (const text of ['e', 'f']) world.propose(text);
    world.run(500);
    leader.disk.damaged.add(6);
    world.passes = () => true;
    world.runUntil(() => late.appliedIndex >= 7 && leader.disk.damaged.size === 0);
    expect(world.leader()).toBe(other);
    expect(leader.fatal).toBeUndefined();
  });

  test('one that has it damaged as well says so, and the next is asked', () => {
    const { world, leader, others } = grown();
    const [victim, other] = others as [WorldNode, WorldNode];
    for (const node of [victim, leader]) node.disk.damaged.add(3);
    world.sent = [];
    victim.start([three]);
    // At once: not only when the first question is repeated.
    world.runUntil(() => victim.disk.damaged.size === 0, 100);
    expect(world.sent).toContain(`${victim.id}>${other.id} repairRequest`);
    world.runUntil(() => leader.disk.damaged.size === 0);
    expect(leader.fatal).toBeUndefined();
  });

  test('what nobody else has may be readable the next time', () => {
    const { world, others } = grown();
    const [victim] = others as [WorldNode];
    const rest = world.nodes.filter((node) => node !== victim);
    for (const node of rest) node.stop();
    victim.disk.damaged.add(3);
    victim.start([three]);
    world.runUntil(() => victim.disk.failedReads > 0);
    victim.disk.damaged.delete(3);
    world.runUntil(() => victim.driver.status(SHARD).damaged === undefined);
    expect(victim.disk.records.filter(({ kind }) => kind === 'repair')).toHaveLength(1);
  });

  test('a lost request is repeated', () => {
    const { world, others } = grown();
    const [victim] = others as [WorldNode];
    let lost = 0;
    world.passes = (_from, _to, { type }) => type !== 'repairRequest' || ++lost > 3;
    victim.disk.damaged.add(3);
    victim.start([three]);
    world.runUntil(() => victim.appliedIndex === 5);
    expect(lost).toBeGreaterThan(3);
  });

  test('all three with damage, in different places, help each other', () => {
    const { world } = grown();
    for (const { disk, id } of world.nodes) disk.damaged.add(1 + id);
    for (const node of world.nodes) node.start([{ index: 1 + node.id, term: 1 }]);
    expect(world.leader().texts).toEqual(['a', 'b', 'c', 'd']);
    world.runUntil(() => world.nodes.every(({ appliedIndex }) => appliedIndex >= 6));
  });

  test('somebody else who reads in vain tells the driver', () => {
    const { world, others } = grown();
    const [victim] = others as [WorldNode];
    victim.disk.damaged.add(2);
    victim.disk.read(SHARD, 2, 2, 1, (error) => victim.driver.readFailed(SHARD, error!, 2));
    world.runUntil(() => victim.disk.damaged.size === 0);
  });

  test('what is gone from all other logs comes as a snapshot', () => {
    const { world, leader, others } = grown();
    const [victim, other] = others as [WorldNode, WorldNode];
    victim.stop();
    for (const node of [leader, other]) node.compact();
    world.propose('e');
    world.run(300);
    victim.disk.damaged.add(3);
    victim.start([three]);
    world.runUntil(() => victim.appliedIndex === 6 && leader.disk.sources === 0);
    expect(victim.texts).toEqual(['a', 'b', 'c', 'd', 'e']);
    expect(victim.driver.status(SHARD).damaged).toBeUndefined();
    world.propose('f');
    world.run(500);
    expect(victim.texts.at(-1)).toBe('f');
  });

  test('alone there is nobody to ask: the process ends', () => {
    const world = new World(1, membershipOf([1]), { maxTailBytes: 1 });
    const only = world.leader();
    world.propose('a');
    world.run(100);
    only.disk.damaged.add(2);
    only.start();
    world.run(3000);
    expect(only.fatal?.message).toBe('2 is damaged');
  });
});
