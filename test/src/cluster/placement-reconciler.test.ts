import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { membersOf } from '../../../raft/membership.ts';
import { PlacementWorld, TIMINGS } from '../../harness/placement-world.ts';

const sorted = (values: Iterable<number>) => [...values].sort((left, right) => left - right);

/** Every group is where the metadata wants it, led by whom it wants, and reported. */
function expectInPlace(world: PlacementWorld): void {
  expect(world.hastyReports).toEqual([]);
  expect(world.hastyChanges).toEqual([]);
  for (const group of world.groups) {
    const placement = world.roster.placement(group.shard)!;
    const { config } = group.membership;
    expect(placement.placedVersion).toBe(placement.version);
    expect(sorted(config.voters)).toEqual(sorted(placement.voters.map((one) => one.replica)));
    expect(sorted(config.learners)).toEqual(sorted(placement.learners.map((one) => one.replica)));
    expect(group.leader).toBe(placement.leader);
  }
}

describe('a shard that gets a new replica', () => {
  it('learns first, votes when it has caught up, in one change, and is reported', () => {
    const world = new PlacementWorld(3, 1);
    world.add(4);
    world.settle();
    expectInPlace(world);
    expect(world.changes).toEqual(['0: addLearner 4', '0: addVoter 4']);
    expect(world.roster.placement(1)?.version).toBe(0);
  });

  it('a replica that takes the place of another: one joint change', () => {
    const world = new PlacementWorld(4, 1);
    world.apply({ type: 'removeMember', node: 2 });
    world.settle();
    expectInPlace(world);
    expect(world.changes.filter((line) => line.startsWith('1:'))).toEqual([
      '1: addLearner 4',
      '1: addVoter 4,remove 2',
    ]);
    expect(world.roster.members().map(({ node }) => node)).toEqual([1, 3, 4]);
  });

  it('is reported once its configuration is committed: not while that may be taken back', () => {
    const world = new PlacementWorld(4, 1);
    world.apply({ type: 'removeMember', node: 2 });
    const group = world.groups[1]!;
    while (group.isSettled) expect(world.step(0)).toBe(true);
    expect(group.membership.config).toMatchObject({ votersOutgoing: [] });
    for (const node of world.nodes.values()) node.peerChanged(3, true);
    expect(world.roster.isRetired(1, 2)).toBe(false);
    world.settle();
    expect(world.hastyReports).toEqual([]);
    expect(world.roster.isRetired(1, 2)).toBe(true);
    expectInPlace(world);
  });

  it('no change begins to a configuration of which most voters are out of reach', () => {
    const world = new PlacementWorld(4, 1);
    world.apply({ type: 'removeMember', node: 2 });
    while (!world.watches.size) world.step(0);
    for (const node of [3, 4]) world.cut(node);
    world.setLeader(1, 1);
    const before = [...world.changes];
    world.settle();
    expect(world.groups[1]!.membership.config.voters).toEqual([1, 2, 3]);
    expect(world.changes).toEqual(before);
    // Two of three will do, and their coming is what wakes the leader.
    world.mend(4);
    world.settle();
    expect(world.changes).toContain('1: addVoter 4,remove 2');
    world.mend(3);
    world.settle();
    expectInPlace(world);
  });

  it('does not vote before it has caught up, however long that takes', () => {
    const world = new PlacementWorld(3, 1);
    world.add(4);
    // The version confirmed, the learner added.
    for (let step = 0; step < 2; step++) world.step(0);
    const learning = () => world.groups[0]!.membership.config.learners;
    for (let round = 0; round < 5; round++) {
      // Each time more has come in the meantime, and the round took too long.
      world.nowMs += TIMINGS.catchUpRoundMs + 1;
      const watch = [...world.watches][0]!;
      world.watches.delete(watch);
      world.groups[0]!.matched.set(4, watch.index);
      world.groups[0]!.lastIndex += 100;
      watch.done(true);
      expect(learning()).toEqual([4]);
    }
    world.settle();
    expectInPlace(world);
  });
});

describe('a leader whose own replica goes', () => {
  it('hands over to one that stays before it leaves', () => {
    const world = new PlacementWorld(4, 1);
    const goes = world.groups[1]!.leader;
    world.apply({ type: 'removeMember', node: goes });
    world.settle();
    expectInPlace(world);
    expect(world.transfers[0]).toMatch(/^1:/);
    expect(world.changes.at(-1)).toMatch(/^0: /);
    expect(world.roster.member(goes)).toBeUndefined();
  });

  it('alone: the new voter comes beside it first', () => {
    const world = new PlacementWorld(1, 1, 1);
    world.add(2);
    world.settle();
    world.apply({ type: 'removeMember', node: world.roster.placement(1)!.leader });
    world.changes = [];
    world.settle();
    expectInPlace(world);
    expect(world.changes.filter((line) => line.startsWith('1:'))).toEqual([
      '1: addLearner 2',
      '1: addVoter 2',
      '1: remove 1',
    ]);
  });
});

describe('leadership', () => {
  it('moves to who should lead, when the shard has been calm for a while', () => {
    const world = new PlacementWorld(3, 3);
    world.setLeader(1, 3);
    expect(world.happenings()).toEqual([]);
    expect(world.transfers).toEqual([]);
    world.settle();
    expect(world.transfers).toEqual(['1:2']);
    expect(world.nowMs).toBe(TIMINGS.balanceAfterMs);
  });

  it('stays while the other node is not connected, and moves when it is', () => {
    const world = new PlacementWorld(3, 3);
    world.down.add(2);
    world.setLeader(1, 3);
    world.settle();
    expect(world.groups[1]!.leader).toBe(3);
    world.down.delete(2);
    world.nodes.get(3)!.peerChanged(2, true);
    world.settle();
    expectInPlace(world);
  });

  it('follows a wish of the operator', () => {
    const world = new PlacementWorld(3, 1);
    world.apply({ type: 'setLeader', shard: 1, node: 3 });
    world.settle();
    expect(world.groups[1]!.leader).toBe(3);
  });
});

describe('a plan that changed its mind', () => {
  it('while the new replica is still learning: it is taken out again', () => {
    const world = new PlacementWorld(3, 4);
    world.add(4);
    while (world.pending.size > 0) world.step(0);
    world.apply({ type: 'removeMember', node: 4 });
    world.watches.clear();
    world.settle();
    expectInPlace(world);
    expect(world.roster.members()).toHaveLength(3);
    for (const group of world.groups) expect(group.membership.config.voters).toEqual([1, 2, 3]);
  });

  it('changes nothing by metadata that are older than what others have reported', () => {
    const world = new PlacementWorld(3, 1);
    const stale = world.roster.placement(1)!;
    world.apply({ type: 'removeMember', node: 3 });
    expect(world.roster.placement(1)!.version).not.toBe(stale.version);
    const { version } = stale;
    expect(world.apply({ type: 'confirmVersion', shard: 1, version })).toEqual({ type: 'stale' });
    world.isStale = true;
    for (let step = 0; step < 50; step++) world.step(0);
    expect(world.changes).toEqual([]);
    world.isStale = false;
    world.settle();
    expectInPlace(world);
  });

  it('a report of an older version is not taken', () => {
    const world = new PlacementWorld(3, 1);
    world.add(4);
    world.apply({ type: 'placed', shard: 0, version: 0 });
    expect(world.roster.placement(0)).toMatchObject({ version: 1, placedVersion: 0 });
    world.settle();
    expectInPlace(world);
  });
});

const step = fc.oneof(
  { weight: 8, arbitrary: fc.record({ do: fc.constant('step'), at: fc.nat(50) }) },
  {
    weight: 1,
    arbitrary: fc.record({ do: fc.constant('churn'), at: fc.integer({ min: 1, max: 6 }) }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('depose'), at: fc.nat(50) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('lose'), at: fc.nat(50) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('write'), at: fc.nat(50) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('cut'), at: fc.nat(50) }) },
);

describe('any history of failures', () => {
  it('ends with every shard in place, and no configuration holds a node twice', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 120 }), (steps) => {
        const world = new PlacementWorld(3, 3);
        for (const { do: what, at } of steps) {
          disturb(world, what, at);
          for (const { membership } of world.groups) {
            const nodes = membersOf(membership.config).map(
              (id) => membership.replicas.find(({ replica }) => replica === id)?.node,
            );
            expect(new Set(nodes).size).toBe(nodes.length);
            expect(nodes).not.toContain(undefined);
          }
        }
        for (const node of [...world.down]) world.mend(node);
        world.settle();
        expectInPlace(world);
      }),
      { numRuns: 300 },
    );
  });

  function disturb(world: PlacementWorld, what: string, at: number): void {
    const group = world.groups[at % world.groups.length]!;
    if (what === 'step') world.step(at);
    else if (what === 'write') group.lastIndex += at;
    else if (what === 'cut') {
      const node = [...world.nodes.keys()][at % world.nodes.size]!;
      if (world.down.has(node)) world.mend(node);
      else world.cut(node);
    } else if (what === 'churn') {
      if (world.roster.member(at)?.state === 'member') {
        world.apply({ type: 'removeMember', node: at });
      } else if (!world.roster.wasRemoved(at, `i${at}`)) world.add(at);
    } else if (what === 'depose') {
      // Another voter wins an election in the middle of whatever goes on.
      const { config, replicas } = group.membership;
      const voter = config.voters[at % config.voters.length]!;
      world.setLeader(group.shard, replicas.find(({ replica }) => replica === voter)!.node);
    } else {
      // The answer never tells the truth: what was asked for is not done, or was done unseen.
      const lost = [...world.pending][at % Math.max(1, world.pending.size)];
      if (lost === undefined || lost.name.startsWith('report')) return;
      // Who asked leads anew: no other node need hold the shard.
      const shard = Number(lost.name.split(' ')[1]);
      world.setLeader(shard, world.groups[shard]!.leader);
    }
  }
});
