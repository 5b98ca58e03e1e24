import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { giveBirth, mintIdentities } from '../../../src/cluster/birth.ts';
import { makeDirectoryDurably } from '../../../src/cluster/durable-file.ts';
import { countBoot, writeIdentity } from '../../../src/cluster/identity.ts';
import {
  assertSameCluster,
  isSettled,
  joiningIdentity,
  type RunningCluster,
  unfinishedIdentity,
} from '../../../src/cluster/joining.ts';
import { checkDirectory } from '../../../src/cluster/node-directory.ts';
import { checkConfig } from '../../../src/config-sources.ts';
import { temporaryDirectory } from '../../harness/temporary-directory.ts';

const cluster: RunningCluster = {
  clusterId: 'c1',
  members: [1, 2].map((node) => ({
    ...{ node, incarnation: `i${node}`, peerAddress: `10.0.0.${node}:7500` },
  })),
  dataShards: 12,
  replicationFactor: 3,
  born: [{ node: 1, incarnation: 'i1' }],
  createdAtMs: 7,
  bornAtLevel: 1,
};

function configOf(more: object = {}) {
  return checkConfig({ node: 4, data: join(temporaryDirectory(), 'n4'), ...more }, 'c');
}

describe('a directory that is added', () => {
  it('knows the birth of the cluster and its members of now', () => {
    const config = configOf();
    const identity = joiningIdentity(4, cluster, undefined);
    makeDirectoryDurably(config.data);
    writeIdentity(config.data, identity);
    expect(checkDirectory(config)).toEqual(identity);
    expect(identity).toMatchObject({
      ...{ clusterId: 'c1', node: 4, dataShards: 12, members: cluster.born, createdAtMs: 7 },
      contacts: cluster.members,
    });
    expect(identity.incarnation).toMatch(/^[0-9a-f]{16}$/);
  });

  it('is settled once it took part, and one of the birth at once', () => {
    const { data } = configOf();
    expect(isSettled(data)).toBe(false);
    makeDirectoryDurably(data);
    writeIdentity(data, joiningIdentity(4, cluster, undefined));
    // It may be that the cluster never heard of it.
    expect(isSettled(data)).toBe(false);
    countBoot(data);
    expect(isSettled(data)).toBe(true);
    const [born] = mintIdentities([1], {}, 5);
    const cradle = join(temporaryDirectory(), 'n1');
    giveBirth([{ node: 1, directory: cradle }], [born!]);
    expect(isSettled(cradle)).toBe(true);
  });

  it('an interrupted add goes on with the same identity, until the node ran', () => {
    const config = configOf();
    expect(unfinishedIdentity(config, cluster)).toBeUndefined();
    makeDirectoryDurably(config.data);
    const { incarnation } = joiningIdentity(4, cluster, undefined);
    writeIdentity(config.data, joiningIdentity(4, cluster, incarnation));
    expect(unfinishedIdentity(config, cluster)).toBe(incarnation);
    countBoot(config.data);
    expect(() => unfinishedIdentity(config, cluster)).toThrow(/is no member any more/);
    const grown = {
      ...cluster,
      members: [...cluster.members, { node: 4, incarnation, peerAddress: '' }],
    };
    expect(unfinishedIdentity(config, grown)).toBe(incarnation);
    expect(() => unfinishedIdentity(config, { ...grown, clusterId: 'c2' })).toThrow(/belongs to/);
  });

  it('must be configured for this cluster, at an address of its own', () => {
    assertSameCluster(configOf({ clusterId: 'c1', dataShards: 12 }), cluster);
    expect(() => assertSameCluster(configOf({ clusterId: 'c9' }), cluster)).toThrow(/this is c1/);
    expect(() => assertSameCluster(configOf({ dataShards: 3 }), cluster)).toThrow(/for life/);
    const copied = configOf({ advertise: { peer: '10.0.0.2:7500' } });
    expect(() => assertSameCluster(copied, cluster)).toThrow(/node 2 listens/);
  });
});
