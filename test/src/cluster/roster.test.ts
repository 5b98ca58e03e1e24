import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { DiskLevel, MetaResult, ShardPlacement } from '../../../src/cluster/api.ts';
import { decodeVersionedJson } from '../../../src/cluster/meta-codec.ts';
import { MEMBERS_MAX, Roster, type RosterCommand } from '../../../src/cluster/roster.ts';
import { born } from '../../harness/births.ts';
import { MemoryRows } from '../../harness/state-rows.ts';

class Fixture {
  readonly rows = new MemoryRows();
  readonly roster: Roster;
  readonly #birth;

  constructor(nodes: number, shards = 12) {
    this.#birth = born(nodes, shards);
    this.roster = new Roster(this.#birth);
  }

  apply(command: RosterCommand): MetaResult {
    return this.roster.apply(command, this.rows);
  }

  add(node: number, incarnation = `i${node}`): MetaResult {
    const addresses = { grpcAddress: `g:${node}`, peerAddress: `p:${node}` };
    return this.apply({ type: 'addMember', node, incarnation, ...addresses });
  }

  remove(node: number): MetaResult {
    return this.apply({ type: 'removeMember', node });
  }

  nodes(): number[] {
    return this.roster.members().map(({ node }) => node);
  }

  unsettled(): ShardPlacement[] {
    return this.roster
      .placements()
      .filter(({ version, placedVersion }) => version !== placedVersion);
  }

  /** What the shards' leaders do, in any order, until nothing is left. */
  settle(pick: (count: number) => number = () => 0): void {
    for (let left = this.unsettled(); left.length > 0; left = this.unsettled()) {
      const { shard, version } = left[pick(left.length)]!;
      expect(this.apply({ type: 'placed', shard, version })).toEqual({ type: 'done' });
    }
  }

  reload(): Roster {
    const loaded = new Roster(this.#birth);
    for (const { key, value } of this.rows.rows()) {
      const name = Buffer.from(key).toString('utf8');
      expect(loaded.loadRow(name, decodeVersionedJson(value))).toBe(true);
    }
    return loaded;
  }
}

const nodesOf = ({ voters, learners }: ShardPlacement) =>
  [...voters, ...learners].map(({ node }) => node);

describe('at birth', () => {
  it('is placed already, evenly, under version 0, with ids from 1', () => {
    const { roster } = new Fixture(5);
    const placements = roster.placements();
    expect(placements).toHaveLength(13);
    const leads = placements.slice(1).map(({ leader }) => leader);
    for (const node of [1, 2, 3, 4, 5]) {
      const held = placements.slice(1).filter((one) => nodesOf(one).includes(node));
      expect([7, 8]).toContain(held.length);
      expect([2, 3]).toContain(leads.filter((one) => one === node).length);
    }
    for (const one of placements) {
      expect(one).toMatchObject({ version: 0, placedVersion: 0, leaving: [] });
      const ids = [...one.voters, ...one.learners].map(({ replica }) => replica);
      expect(ids.sort()).toEqual(ids.map((_, at) => at + 1));
      expect(one.nextReplica).toBe(ids.length + 1);
    }
  });

  it('three nodes: whoever boots first into a shard is who should lead it', () => {
    const leaders = new Fixture(3).roster.placements().map(({ leader }) => leader);
    expect(leaders).toEqual([1, 2, 3, 1, 2, 3, 1, 2, 3, 1, 2, 3, 1]);
  });
});

describe('a node that is added', () => {
  it('gets new replica ids, its share of shards, and the metadata', () => {
    const meta = new Fixture(3);
    expect(meta.add(4)).toEqual({ type: 'done' });
    const changed = meta.unsettled();
    expect(changed).toHaveLength(10);
    for (const { shard, version, voters, leaving, nextReplica } of changed) {
      const mine = voters.find(({ node }) => node === 4)!;
      expect(mine).toEqual({ replica: 4, node: 4, incarnation: 'i4' });
      expect([version, nextReplica]).toEqual([1, 5]);
      expect(leaving).toHaveLength(shard === 0 ? 0 : 1);
    }
    expect(meta.roster.placement(0)!.voters).toHaveLength(4);
    expect(meta.add(4)).toEqual({ type: 'done' });
    expect(meta.unsettled()).toEqual(changed);
  });

  it('is refused with the way out when the number is taken', () => {
    const meta = new Fixture(3);
    const refused = meta.add(2, 'other');
    expect(refused).toMatchObject({ type: 'refused', reason: 'MEMBER_EXISTS' });
    expect(refused).toMatchObject({ detail: expect.stringMatching(/cluster remove 2, then/) });
    meta.remove(2);
    expect(meta.add(2, 'other')).toMatchObject({ reason: 'MEMBER_LEAVING' });
    meta.settle();
    expect(meta.roster.member(2)).toBeUndefined();
    expect(meta.add(2, 'i2')).toMatchObject({ reason: 'MEMBER_REMOVED' });
    expect(meta.add(2, 'other')).toEqual({ type: 'done' });
    expect(meta.roster.wasRemoved(2, 'i2')).toBe(true);
    expect(meta.roster.wasRemoved(2, 'other')).toBe(false);
    expect(meta.reload().wasRemoved(2, 'i2')).toBe(true);
  });

  it('beyond the bound is refused', () => {
    const meta = new Fixture(1, 1);
    for (let node = 2; node <= MEMBERS_MAX; node++) meta.add(node);
    expect(meta.add(MEMBERS_MAX + 1)).toMatchObject({ reason: 'TOO_MANY_MEMBERS' });
  });
});

describe('a node that is removed', () => {
  it('hands over its data first, its metadata then, and is a member until the end', () => {
    const meta = new Fixture(4);
    meta.remove(1);
    expect(meta.roster.member(1)?.state).toBe('leaving');
    for (const placement of meta.roster.placements()) {
      expect(nodesOf(placement).includes(1)).toBe(placement.shard === 0);
      if (placement.shard > 0) expect(placement.leader).not.toBe(1);
    }
    expect(meta.roster.placement(0)?.leader).not.toBe(1);
    const data = meta.unsettled();
    for (const { shard, version } of data.slice(1)) meta.apply({ type: 'placed', shard, version });
    expect(nodesOf(meta.roster.placement(0)!)).toContain(1);
    meta.apply({ type: 'placed', shard: data[0]!.shard, version: data[0]!.version });
    expect(nodesOf(meta.roster.placement(0)!)).not.toContain(1);
    expect(meta.nodes()).toContain(1);
    meta.settle();
    expect(meta.nodes()).toEqual([2, 3, 4]);
    expect(meta.roster.wasRemoved(1, 'i1')).toBe(true);
    expect(meta.remove(1)).toEqual({ type: 'done' });
  });

  it('the last one and an unknown one stay', () => {
    const meta = new Fixture(2);
    expect(meta.remove(7)).toMatchObject({ reason: 'MEMBER_NOT_FOUND' });
    meta.remove(1);
    expect(meta.remove(2)).toMatchObject({ reason: 'LAST_MEMBER' });
  });

  it('before it was ever placed: the shards go back to where they were', () => {
    const meta = new Fixture(3);
    const before = meta.roster.placements().map(nodesOf);
    meta.add(4);
    meta.remove(4);
    expect(meta.roster.placements().map(nodesOf).slice(1)).toEqual(before.slice(1));
    // Back under the ids that they had: nothing of them was dropped.
    for (const { nextReplica, voters, version } of meta.roster.placements().slice(1)) {
      if (version === 0) continue;
      expect(nextReplica).toBe(5);
      expect(voters.map(({ replica }) => replica)).toEqual([1, 2, 3]);
    }
    meta.settle();
    expect(meta.nodes()).toEqual([1, 2, 3]);
  });
});

describe('placed', () => {
  it('of an older version is refused and changes nothing', () => {
    const meta = new Fixture(3);
    meta.add(4);
    const { shard } = meta.unsettled()[1]!;
    meta.remove(4);
    expect(meta.apply({ type: 'placed', shard, version: 1 })).toEqual({ type: 'stale' });
    expect(meta.roster.placement(shard)?.placedVersion).toBe(0);
    expect(meta.apply({ type: 'placed', shard: 99, version: 0 })).toEqual({ type: 'stale' });
  });

  it('retires a replica only then, and for ever', () => {
    const meta = new Fixture(3);
    meta.add(4);
    const { shard, version, leaving } = meta.unsettled()[1]!;
    const old = leaving[0]!.replica;
    expect(meta.roster.isRetired(shard, old)).toBe(false);
    meta.apply({ type: 'placed', shard, version });
    expect(meta.roster.isRetired(shard, old)).toBe(true);
    expect(meta.roster.isRetired(shard, 4)).toBe(false);
    // Not issued yet, as far as is known here: nothing can be said about it.
    expect(meta.roster.isRetired(shard, 5)).toBe(false);
  });
});

describe('leaders', () => {
  it('are set by hand among the voters, and spread again by a rebalance', () => {
    const meta = new Fixture(3);
    for (const shard of [1, 2, 3]) meta.apply({ type: 'setLeader', shard, node: 1 });
    expect(meta.roster.placement(1)).toMatchObject({ leader: 1, version: 0 });
    expect(meta.apply({ type: 'setLeader', shard: 1, node: 9 })).toMatchObject({
      reason: 'NOT_A_VOTER',
    });
    expect(meta.apply({ type: 'setLeader', shard: 13, node: 1 })).toMatchObject({
      reason: 'SHARD_NOT_FOUND',
    });
    meta.apply({ type: 'rebalance' });
    const leads = meta.roster
      .placements()
      .slice(1)
      .map(({ leader }) => leader);
    for (const node of [1, 2, 3]) expect(leads.filter((one) => one === node)).toHaveLength(4);
    expect(meta.unsettled()).toEqual([]);
  });
});

describe('a suspect replica', () => {
  it('gets a successor on the same node, once', () => {
    const meta = new Fixture(3);
    meta.apply({ type: 'replaceReplica', shard: 2, replica: 2 });
    const placement = meta.roster.placement(2)!;
    expect(placement.voters.map(({ replica, node }) => [replica, node])).toEqual([
      [1, 1],
      [4, 2],
      [3, 3],
    ]);
    expect(placement.leaving.map(({ replica }) => replica)).toEqual([2]);
    meta.apply({ type: 'replaceReplica', shard: 2, replica: 2 });
    expect(meta.roster.placement(2)).toEqual(placement);
    expect(meta.roster.isRetired(2, 2)).toBe(false);
    meta.settle();
    expect(meta.roster.isRetired(2, 2)).toBe(true);
  });
});

describe('any history', () => {
  const step = fc.record({ node: fc.integer({ min: 1, max: 7 }), settle: fc.integer({ max: 20 }) });

  it('keeps copies apart, never gives an id twice, and equals its own rows', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 25 }), (steps) => {
        const meta = new Fixture(3, 5);
        const owners = new Map<string, string>();
        let life = 0;
        for (const { node, settle } of steps) {
          if (meta.roster.member(node)?.state === 'member') meta.remove(node);
          else {
            life += 1;
            meta.add(node, `life-${life}`);
          }
          for (let left = settle; left > 0 && meta.unsettled().length > 0; left--) {
            const { shard, version } = meta.unsettled()[left % meta.unsettled().length]!;
            meta.apply({ type: 'placed', shard, version });
          }
          const staying = meta.roster.members().filter(({ state }) => state === 'member');
          for (const placement of meta.roster.placements()) {
            const { shard, voters, learners, leader, leaving, nextReplica } = placement;
            expect(new Set(nodesOf(placement)).size).toBe(voters.length + learners.length);
            expect(voters.map((one) => one.node)).toContain(leader);
            if (shard > 0) expect(voters).toHaveLength(Math.min(3, staying.length));
            for (const { replica, node: at, incarnation } of [...voters, ...learners, ...leaving]) {
              expect(replica).toBeLessThan(nextReplica);
              const owner = `${at} ${incarnation}`;
              expect(owners.get(`${shard} ${replica}`) ?? owner).toBe(owner);
              owners.set(`${shard} ${replica}`, owner);
            }
          }
          expect(meta.reload().placements()).toEqual(meta.roster.placements());
          expect(meta.reload().members()).toEqual(meta.roster.members());
        }
        meta.settle();
        expect(meta.roster.members().every(({ state }) => state === 'member')).toBe(true);
      }),
      { numRuns: 60 },
    );
  });
});

describe('the level of a disk', () => {
  it('is what the member itself said last, and comes back from the rows', () => {
    const fixture = new Fixture(3);
    const report = (incarnation: string, level: DiskLevel) =>
      fixture.apply({ type: 'reportDisk', node: 2, incarnation, level });
    const levels = (roster: Roster) => roster.members().map(({ disk }) => disk);
    report('another', 'full');
    expect(levels(fixture.roster)).toEqual([undefined, undefined, undefined]);
    const { incarnation } = fixture.roster.member(2)!;
    report(incarnation, 'critical');
    expect(levels(fixture.roster)).toEqual([undefined, 'critical', undefined]);
    const addresses = { grpcAddress: 'g', peerAddress: 'p' };
    fixture.apply({ type: 'registerNode', node: 2, incarnation, ...addresses });
    expect(levels(fixture.reload())).toEqual([undefined, 'critical', undefined]);
    report(incarnation, 'low');
    expect(levels(fixture.reload())[1]).toBe('low');
  });
});
