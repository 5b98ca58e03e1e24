import { chmodSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import {
  agreedBirth,
  agreedMembers,
  giveBirth,
  mintIdentities,
} from '../../../src/cluster/birth.ts';
import { countBoot, isLogBorn, markLogBorn, readIdentity } from '../../../src/cluster/identity.ts';
import { checkDirectory, enterDirectory } from '../../../src/cluster/node-directory.ts';
import type { NodeConfig } from '../../../src/config.ts';
import { checkConfig } from '../../../src/config-sources.ts';
import { temporaryDirectory } from '../../harness/temporary-directory.ts';

interface Case {
  readonly root: string;
  readonly configs: readonly NodeConfig[];
}

function threeConfigs(more: Record<string, unknown> = {}): Case {
  const root = temporaryDirectory();
  const peers = { 1: '127.0.0.1:11', 2: '127.0.0.1:12', 3: '127.0.0.1:13' };
  const configs = [1, 2, 3].map((node) =>
    checkConfig({ node, data: join(root, `n${node}`), peers, ...more }, 'c'),
  );
  return { root, configs };
}

function bear({ configs }: Case): void {
  const identities = mintIdentities(agreedMembers(configs), agreedBirth(configs), 5);
  giveBirth(
    configs.map(({ node, data }) => ({ node, directory: data })),
    identities,
  );
}

describe('birth', () => {
  it('gives each directory its own incarnation and the same cluster', () => {
    const born = threeConfigs({ dataShards: 4 });
    bear(born);
    const identities = born.configs.map((config) => checkDirectory(config));
    expect(new Set(identities.map(({ clusterId }) => clusterId)).size).toBe(1);
    expect(new Set(identities.map(({ incarnation }) => incarnation)).size).toBe(3);
    expect(identities[1]).toMatchObject({ node: 2, dataShards: 4, replicationFactor: 3 });
  });

  it('happens once: nothing is written when one directory is taken', () => {
    const born = threeConfigs();
    const last = born.configs[2]!.data;
    mkdirSync(last);
    writeFileSync(join(last, 'letters.txt'), 'x');
    expect(() => bear(born)).toThrow(/letters\.txt.*empty directory/);
    expect(readdirSync(born.root)).toEqual(['n3']);
  });

  it('a second birth names the owner', () => {
    const born = threeConfigs();
    bear(born);
    const { clusterId } = readIdentity(born.configs[0]!.data);
    const refusal = new RegExp(
      `already belongs to node 1 of cluster ${clusterId} \\(never started`,
    );
    expect(() => bear(born)).toThrow(refusal);
  });

  it('configurations must fit together', () => {
    const { configs } = threeConfigs();
    const [one, two, three] = configs as [NodeConfig, NodeConfig, NodeConfig];
    expect(() => agreedMembers([one, two])).toThrow(/lists node 3 .*--config FILE/);
    expect(() => agreedMembers([one, two, three, two])).toThrow(/two configurations say node: 2/);
    expect(() => agreedMembers([one, { ...two, peers: new Map() }, three])).toThrow(
      /node 2 does not list node 1/,
    );
    expect(() => agreedMembers([one, { ...two, data: one.data }, three])).toThrow(/same data/);
    const other = { ...two, birth: { dataShards: 3 } };
    expect(() => agreedBirth([one, other])).toThrow(/disagree on dataShards: 12 and 3/);
  });
});

describe('the way into a directory', () => {
  it('an empty one is refused with the ways on', () => {
    const { configs } = threeConfigs();
    expect(() => checkDirectory(configs[0]!)).toThrow(/is empty.*cluster init.*cluster add/);
  });

  it("one that was there, open to others, is its owner's alone from its birth on", () => {
    const born = threeConfigs();
    for (const { data } of born.configs) mkdirSync(data, { recursive: true, mode: 0o755 });
    bear(born);
    for (const config of born.configs) checkDirectory(config);
  });

  it('one that others may look into is refused', () => {
    const born = threeConfigs();
    bear(born);
    const one = born.configs[0]!;
    for (const mode of [0o755, 0o750, 0o701]) {
      chmodSync(one.data, mode);
      expect(() => checkDirectory(one), String(mode)).toThrow(/open to others .*chmod 700/);
    }
    chmodSync(one.data, 0o700);
    checkDirectory(one);
  });

  it('another node, another cluster, strangers, a changed birth setting', () => {
    const born = threeConfigs();
    bear(born);
    const one = born.configs[0]!;
    const two = born.configs[1]!;
    expect(() => checkDirectory({ ...one, data: two.data })).toThrow(/belongs to node 2/);
    expect(() => checkDirectory({ ...one, clusterId: 'abc' })).toThrow(/clusterId: abc/);
    const peers = new Map(one.peers).set(9, { host: 'h', port: 1 });
    expect(() => checkDirectory({ ...one, peers })).toThrow(/lists node 9 .*another cluster\?/);
    expect(() => checkDirectory({ ...one, peers: new Map() })).toThrow(/no address for node 2/);
    expect(() => checkDirectory({ ...one, birth: { dataShards: 6 } })).toThrow(/dataShards: 6/);
    // Once it has run, the metadata knows who came and went.
    countBoot(one.data);
    expect(checkDirectory({ ...one, peers }).node).toBe(1);
    expect(checkDirectory({ ...one, peers: new Map() }).node).toBe(1);
  });

  it('a damaged identity is reported, never replaced', () => {
    const born = threeConfigs();
    bear(born);
    const one = born.configs[0]!;
    for (const text of ['{', '{}', '{"format": 1}', '{"format": 2, "node": 1}', 'null']) {
      writeFileSync(join(one.data, 'identity.json'), text);
      expect(() => checkDirectory(one)).toThrow(/identity\.json/);
    }
  });

  it('counts boots, and only when the lock was had', () => {
    const born = threeConfigs();
    bear(born);
    const one = born.configs[0]!;
    const free = () => ({ release: () => undefined });
    expect(enterDirectory(one, free).bootCounter).toBe(1);
    const taken = () => {
      throw new Error('locked by pid 7');
    };
    expect(() => enterDirectory(one, taken)).toThrow(/pid 7/);
    expect(enterDirectory(one, free).bootCounter).toBe(2);
  });

  it('a damaged boot counter is reported: from 1 again it would look like an old copy', () => {
    const directory = temporaryDirectory();
    expect(countBoot(directory)).toBe(1);
    writeFileSync(join(directory, 'boot'), 'x');
    expect(() => countBoot(directory)).toThrow(/boot is damaged/);
  });

  it('remembers that the log was born', () => {
    const directory = temporaryDirectory();
    expect(isLogBorn(directory)).toBe(false);
    markLogBorn(directory);
    expect(isLogBorn(directory)).toBe(true);
  });
});

describe('how many copies', () => {
  it('three, or as many as were asked for, whatever the number of nodes', () => {
    const copies = (nodes: number, birth = {}) => {
      const numbers = Array.from({ length: nodes }, (_, at) => at + 1);
      return mintIdentities(numbers, birth, 0)[0]?.replicationFactor;
    };
    expect([1, 3, 5, 9].map((nodes) => copies(nodes))).toEqual([3, 3, 3, 3]);
    expect(copies(5, { replicationFactor: 5 })).toBe(5);
  });
});
