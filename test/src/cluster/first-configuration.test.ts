import { describe, expect, it } from 'vitest';
import { mintIdentities } from '../../../src/cluster/birth.ts';
import {
  firstMembership,
  initialShardStates,
  missingAtBirth,
} from '../../../src/cluster/first-configuration.ts';
import type { Identity } from '../../../src/cluster/identity.ts';

function cluster(nodes: number, dataShards = 12): readonly Identity[] {
  const numbers = Array.from({ length: nodes }, (_, at) => at + 1);
  const identities = mintIdentities(numbers, { dataShards }, 0);
  return identities.map((identity) => ({ ...identity, replicationFactor: 3 }));
}

describe('first configuration', () => {
  it.each([1, 2, 3, 4, 5, 7])('%i nodes: all agree, and every shard is placed', (count) => {
    const identities = cluster(count);
    for (let shard = 0; shard <= 12; shard++) {
      const views = identities.map((identity) => firstMembership(identity, shard));
      for (const view of views) expect(view).toEqual(views[0]);
      const { config, replicas } = views[0]!;
      expect(config.voters.length).toBe(Math.min(shard === 0 ? 5 : 3, count));
      expect(config.learners.length).toBe(shard === 0 ? Math.max(0, count - 5) : 0);
      expect(new Set(replicas.map(({ node }) => node)).size).toBe(replicas.length);
      const held = identities.filter((identity) => initialShardStates(identity).has(shard));
      expect(held.map(({ node }) => node)).toEqual(replicas.map(({ node }) => node));
    }
  });

  it('spreads data shards evenly', () => {
    const counts = cluster(6).map((identity) => {
      const data = [...initialShardStates(identity).keys()].filter((shard) => shard !== 0);
      return data.length;
    });
    expect(counts).toEqual([6, 6, 6, 6, 6, 6]);
  });

  it('a state names its own replica and an empty log', () => {
    const [, second] = cluster(3, 1);
    const state = initialShardStates(second!).get(1)!;
    expect(state.replica).toBe(2);
    expect(state.hardState).toEqual({ term: 0, vote: 0, commit: 0 });
    expect(state.logStart).toEqual({ index: 0, term: 0 });
    expect(state.membership.replicas[1]?.incarnation).toBe(second!.incarnation);
  });
});

describe('what is written to the log at birth', () => {
  const [identity] = cluster(3, 2) as [Identity];

  it('everything, then what a crash left out, then nothing', () => {
    expect([...missingAtBirth(identity, false, []).keys()]).toEqual([0, 1, 2]);
    expect([...missingAtBirth(identity, false, [0, 1]).keys()]).toEqual([2]);
    expect([...missingAtBirth(identity, false, [0, 1, 2]).keys()]).toEqual([]);
    expect([...missingAtBirth(identity, true, [0, 1, 2]).keys()]).toEqual([]);
    expect([...missingAtBirth(identity, true, [0]).keys()]).toEqual([]);
  });

  it('a born log that is empty is a lost log, never a new one', () => {
    expect(() => missingAtBirth(identity, true, [])).toThrow(/lost its commit log/);
  });
});
