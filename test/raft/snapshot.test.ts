/** Snapshots between real drivers: offers, windows, losses, restarts, refusals. */
import { describe, expect, test, vi } from 'vitest';
import { RaftError, RaftErrorCode } from '../../raft/errors.ts';
import type { PeerMessage } from '../../raft/messages.ts';
import { membershipOf, SHARD } from '../harness/raft-cluster.ts';
import { World, type WorldNode } from '../harness/raft-world.ts';

const CHUNK = 64;
const CONFIG = { snapshotChunkBytes: CHUNK, maxInflightSnapshotChunks: 4, maxTailBytes: 1 };

/** Three nodes; the third heard nothing of ten entries, which are gone from the other logs. */
function withLaggard(): { world: World; leader: WorldNode; late: WorldNode } {
  const world = new World(3, membershipOf([1, 2, 3]), CONFIG);
  const leader = world.leader();
  const late = world.nodes.findLast((node) => node !== leader)!;
  world.passes = (from, to) => from !== late.id && to !== late.id;
  for (let count = 1; count <= 10; count++) world.propose(`m${count}`);
  world.run(500);
  leader.compact();
  world.sent = [];
  return { world, leader, late };
}

function isCaughtUp(world: World, leader: WorldNode, late: WorldNode): void {
  world.runUntil(() => late.appliedIndex === leader.appliedIndex);
  expect(late.texts).toEqual(leader.texts);
  world.propose('after');
  world.run(500);
  expect(late.texts.at(-1)).toBe('after');
  expect(late.disk.records.some(({ kind }) => kind === 'reset')).toBe(true);
  expect(leader.disk.sources, 'the file is closed').toBe(0);
}

function chunks(world: World): number {
  return world.sent.filter((line) => line.endsWith('snapshotChunk')).length;
}

describe('a replica that lacks what is gone', () => {
  test('gets the checkpoint in chunks, then ordinary appends', () => {
    const { world, leader, late } = withLaggard();
    world.passes = () => true;
    isCaughtUp(world, leader, late);
    const total = Math.ceil((leader.disk.checkpoint!.applied.length * 5 + 1200) / CHUNK);
    expect(chunks(world)).toBeGreaterThan(total / 2);
    expect(late.driver.logStart(SHARD)).toEqual(leader.disk.checkpoint!.id);
  });

  test('also when every third chunk and every fourth answer is lost', () => {
    const { world, leader, late } = withLaggard();
    let sent = 0;
    let answered = 0;
    world.passes = (_from, _to, { type }) => {
      if (type === 'snapshotChunk') return ++sent % 3 !== 0;
      return type !== 'snapshotReply' || ++answered % 4 !== 0;
    };
    isCaughtUp(world, leader, late);
  });

  test('also when chunks come twice', () => {
    const { world, leader, late } = withLaggard();
    world.passes = (from, to, message) => {
      if (message.type === 'snapshotChunk' || message.type === 'snapshotReply') {
        world.tasks.push(() => world.node(to).driver.receive(from, [message]));
      }
      return true;
    };
    isCaughtUp(world, leader, late);
  });

  test('goes on where it was after a restart in the middle', () => {
    const { world, leader, late } = withLaggard();
    let received = 0;
    world.passes = (_from, to, { type }) =>
      to !== late.id || type !== 'snapshotChunk' || ++received < 9;
    world.run(2000);
    const had = late.disk.parts!.length;
    expect(had).toBeGreaterThan(CHUNK);
    late.start();
    const offsets: number[] = [];
    world.passes = (_from, _to, message) => {
      if (message.type === 'snapshotChunk' && message.data.length > 0) offsets.push(message.offset);
      return true;
    };
    isCaughtUp(world, leader, late);
    expect(Math.min(...offsets)).toBe(had);
  });

  test('goes on with another leader that has the same checkpoint', () => {
    const { world, leader, late } = withLaggard();
    let received = 0;
    world.passes = (_from, to, { type }) =>
      to !== late.id || type !== 'snapshotChunk' || ++received < 9;
    world.run(2000);
    const had = late.disk.parts!.length;
    const other = world.nodes.find((node) => node !== leader && node !== late)!;
    world.passes = () => true;
    other.disk.keep(leader.disk.checkpoint!);
    other.driver.setLogStart(SHARD, leader.disk.checkpoint!.id);
    const offsets: number[] = [];
    world.passes = (from, to, message) => {
      if (message.type === 'snapshotChunk' && message.data.length > 0) offsets.push(message.offset);
      return from !== leader.id && to !== leader.id;
    };
    world.runUntil(() => late.appliedIndex >= 11);
    expect(Math.min(...offsets)).toBe(had);
    expect(leader.disk.sources, 'the former leader has closed the file').toBe(0);
  });

  test('begins anew when the whole does not verify', () => {
    const { world, leader, late } = withLaggard();
    late.disk.isBroken = true;
    world.passes = () => true;
    isCaughtUp(world, leader, late);
    expect(late.fatal).toBeUndefined();
  });

  test('says that it is done only when its log is durable from there', () => {
    const { world, leader, late } = withLaggard();
    late.disk.isHeld = true;
    const done: boolean[] = [];
    world.passes = (_from, _to, message) => {
      if (message.type === 'snapshotReply') done.push(message.done);
      return true;
    };
    world.run(3000);
    expect(late.appliedIndex).toBe(11);
    expect(done).not.toContain(true);
    late.disk.release();
    world.passes = () => true;
    isCaughtUp(world, leader, late);
  });
});

describe('a window', () => {
  test('bounds what is on its way', () => {
    const { world, late } = withLaggard();
    let offered = 0;
    let largest = 0;
    world.passes = (_from, to, message) => {
      if (message.type !== 'snapshotChunk' || to !== late.id) return true;
      if (message.data.length === 0) return true;
      largest = Math.max(largest, message.offset + message.data.length);
      offered++;
      return false;
    };
    world.run(200);
    expect(offered).toBe(CONFIG.maxInflightSnapshotChunks);
    expect(largest).toBe(CONFIG.maxInflightSnapshotChunks * CHUNK);
  });

  test('and a bound on replicas: the next begins when one is done', () => {
    const members = [1, 2, 3, 4, 5];
    const config = { ...CONFIG, maxOutgoingSnapshots: 1 };
    const world = new World(5, membershipOf(members), config);
    const leader = world.leader();
    const late = world.nodes.filter((node) => node !== leader).slice(-2);
    const isLate = (id: number) => late.some((node) => node.id === id);
    world.passes = (from, to) => !isLate(from) && !isLate(to);
    for (let count = 1; count <= 10; count++) world.propose(`m${count}`);
    world.run(500);
    leader.compact();
    let most = 0;
    world.passes = () => {
      most = Math.max(most, leader.disk.sources);
      return true;
    };
    world.runUntil(() => late.every(({ appliedIndex }) => appliedIndex >= 11));
    expect(most).toBe(1);
  });
});

test('a checkpoint that cannot be read is not looked at again at every pass', () => {
  const { world, leader } = withLaggard();
  const open = vi.spyOn(leader.disk, 'openSource');
  leader.disk.checkpoints.clear();
  world.passes = () => true;
  world.run(200);
  for (let count = 0; count < 100; count++) {
    world.propose(`n${count}`);
    world.run(10);
  }
  expect(open.mock.calls.length).toBeGreaterThan(0);
  expect(open.mock.calls.length).toBeLessThan(4);
});

describe('a leader without an intact checkpoint', () => {
  test('hands over to a voter who has one', () => {
    const { world, leader, late } = withLaggard();
    const other = world.nodes.find((node) => node !== leader && node !== late)!;
    other.compact();
    leader.disk.checkpoints.clear();
    world.passes = () => true;
    world.runUntil(() => late.appliedIndex >= 11);
    expect(world.leader()).toBe(other);
    isCaughtUp(world, other, late);
  });

  test('or to one whose log is whole', () => {
    const { world, leader, late } = withLaggard();
    const other = world.nodes.find((node) => node !== leader && node !== late)!;
    leader.disk.checkpoints.clear();
    world.passes = () => true;
    world.runUntil(() => late.appliedIndex >= 11);
    expect(world.leader()).toBe(other);
    expect(late.texts).toEqual(other.texts);
    expect(late.driver.logStart(SHARD).index, 'without any snapshot').toBe(0);
  });

  test('also in a joint configuration, to a voter of the half that goes', () => {
    const { world, leader, late } = withLaggard();
    const other = world.nodes.find((node) => node !== leader && node !== late)!;
    other.compact();
    leader.disk.checkpoints.clear();
    const changes = [leader, other].map(({ id }) => ({ type: 'remove', node: id }) as const);
    leader.driver.changeMembership(SHARD, { changes, replicas: [] }, () => {});
    world.passes = () => true;
    world.runUntil(() => late.driver.status(SHARD).role === 'leader');
    expect(late.driver.membership(SHARD).config.voters).toEqual([late.id]);
    expect(late.texts).toEqual(leader.texts);
    expect(late.texts).toHaveLength(10);
  });

  test('is not stopped again and again by who cannot lead: one has damage, one has nothing', () => {
    const { world, leader, late } = withLaggard();
    const other = world.nodes.find((node) => node !== leader && node !== late)!;
    leader.disk.checkpoints.clear();
    other.disk.damaged.add(3);
    other.driver.readFailed(SHARD, new RaftError(RaftErrorCode.dataLoss, '3 is damaged'), 3);
    world.passes = () => true;
    world.run(3000);
    for (let count = 0; count < 50; count++) {
      const outcomes = world.propose(`n${count}`);
      world.run(100);
      expect(outcomes).toMatchObject([{ status: 'applied' }]);
    }
    world.run(500);
    expect(other.driver.status(SHARD).damaged, 'nobody can give it back').toBe(1);
    expect(other.texts).toHaveLength(60);
  });

  test('goes on leading while nobody has, and its log may be cut', () => {
    const { world, leader, late } = withLaggard();
    world.nodes.find((node) => node !== leader && node !== late)!.compact();
    for (const { disk } of world.nodes) disk.checkpoints.clear();
    world.passes = () => true;
    world.run(5000);
    expect(world.leader()).toBe(leader);
    expect(leader.disk.sources).toBe(0);
    world.propose('more');
    world.run(300);
    expect(leader.driver.matchedByAll(SHARD), 'it needs no log now').toBe(leader.appliedIndex);
    leader.compact();
    isCaughtUp(world, leader, late);
  });

  test('looks at it again when the receiver has found damage', () => {
    const { world, leader, late } = withLaggard();
    const open = vi.spyOn(leader.disk, 'openSource');
    late.disk.isBroken = true;
    world.passes = () => true;
    isCaughtUp(world, leader, late);
    expect(open).toHaveBeenCalledTimes(2);
  });
});

/** Found by an adversary: a dead receiver held its place, and the cluster was never whole again. */
test('a receiver whose node dies makes room for others', () => {
  const config = { ...CONFIG, maxOutgoingSnapshots: 1 };
  const world = new World(5, membershipOf([1, 2, 3, 4, 5]), config);
  const leader = world.leader();
  const late = world.nodes.filter((node) => node !== leader).slice(-2);
  const isLate = (id: number) => late.some((node) => node.id === id);
  world.passes = (from, to) => !isLate(from) && !isLate(to);
  for (let count = 1; count <= 10; count++) world.propose(`m${count}`);
  world.run(500);
  leader.compact();
  let chunks = 0;
  let dead = 0;
  world.passes = (from, to, { type }) => {
    if (type === 'snapshotChunk' && ++chunks === 3) dead = to;
    return from !== dead && to !== dead;
  };
  world.runUntil(() => dead !== 0);
  const living = late.find(({ id }) => id !== dead)!;
  world.runUntil(() => living.appliedIndex >= 11, 5000);
});

describe('nothing is taken', () => {
  function chunkFor(world: World, leader: WorldNode, late: WorldNode): PeerMessage {
    const { id } = leader.disk.checkpoint!;
    const { term } = world.leader().driver.status(SHARD);
    const address = { shard: SHARD, from: leader.id, to: late.id, term };
    const part = { totalBytes: 100, offset: 0, data: new Uint8Array(0) };
    return { type: 'snapshotChunk', ...address, id, ...part };
  }

  test.each([
    ['of another term', { term: 99 }, false],
    ['of one that does not lead', {}, true],
    ['for another replica', { to: 77 }, false],
  ])('%s', (_, change, isOther) => {
    const { world, leader, late } = withLaggard();
    const other = world.nodes.find((node) => node !== leader && node !== late)!;
    world.passes = (_from, _to, { type }) => type !== 'snapshotChunk';
    world.run(500);
    const from = isOther ? other.id : leader.id;
    const message = { ...chunkFor(world, leader, late), ...change, from } as PeerMessage;
    late.driver.receive(from, [message]);
    world.run(20);
    expect(late.disk.parts).toBeUndefined();
  });

  test('that is behind: the answer is that it is done', () => {
    const { world, leader } = withLaggard();
    const other = world.nodes.find((node) => node.appliedIndex >= 11 && node !== leader)!;
    const answers: boolean[] = [];
    world.passes = (_from, _to, message) => {
      if (message.type === 'snapshotReply') answers.push(message.done);
      return true;
    };
    other.driver.receive(leader.id, [chunkFor(world, leader, other)]);
    world.run(20);
    expect(answers).toEqual([true]);
    expect(other.disk.records.every(({ kind }) => kind !== 'reset')).toBe(true);
  });
});

test('a new replica, invited and created empty, catches up by snapshot and log', () => {
  const world = new World(4, membershipOf([1, 2, 3]), CONFIG);
  const leader = world.leader();
  for (let count = 1; count <= 10; count++) world.propose(`m${count}`);
  world.run(500);
  leader.compact();
  const address = { replica: 4, node: 4, incarnation: 'n4' };
  const changes = [{ type: 'addLearner', node: 4 } as const];
  leader.driver.changeMembership(SHARD, { changes, replicas: [address] }, () => undefined);
  const fourth = world.node(4);
  world.runUntil(() => fourth.invites.length > 0);
  const [invite] = fourth.invites;
  expect(invite).toMatchObject({ to: 4, incarnation: 'n4', logStart: { index: 11 } });
  world.hold(4, 4, invite!.membership);
  fourth.start();
  isCaughtUp(world, leader, fourth);
  expect(leader.driver.status(SHARD).replicas.at(-1)).toMatchObject({ node: 4, role: 'learner' });
});
