import { readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { assertNewCluster, type Cradle, mintIdentities } from '../../../src/cluster/birth.ts';
import { giveBirthOnce } from '../../../src/cluster/birth-once.ts';
import { countBoot, hasIdentity, readIdentity } from '../../../src/cluster/identity.ts';
import { checkConfig } from '../../../src/config-sources.ts';
import { temporaryDirectory } from '../../harness/temporary-directory.ts';

function threeCradles(): readonly Cradle[] {
  const root = temporaryDirectory();
  return [1, 2, 3].map((node) => ({ node, directory: join(root, `n${node}`) }));
}

const mint = () => mintIdentities([1, 2, 3], {}, 5);
const bear = (cradles: readonly Cradle[]) => giveBirthOnce(cradles, mint);
const lose = ({ directory }: Cradle) => rmSync(directory, { recursive: true });

function textsOf(cradles: readonly Cradle[]): readonly string[] {
  return cradles.map(({ directory }) => readFileSync(join(directory, 'identity.json'), 'utf8'));
}

describe('a birth that is given again', () => {
  it('writes nothing the second time', () => {
    const cradles = threeCradles();
    const first = bear(cradles);
    expect(first).toMatchObject({ written: cradles, lost: [] });
    const texts = textsOf(cradles);
    expect(bear(cradles)).toEqual({ clusterId: first.clusterId, written: [], lost: [] });
    expect(textsOf(cradles)).toEqual(texts);
  });

  it('is finished when it broke off before a node was started', () => {
    const cradles = threeCradles();
    bear(cradles);
    const texts = textsOf(cradles);
    lose(cradles[2]!);
    expect(bear(cradles)).toMatchObject({ written: [cradles[2]], lost: [] });
    expect(textsOf(cradles).map((text) => JSON.parse(text))).toEqual(
      texts.map((text) => JSON.parse(text)),
    );
  });

  it('gives no identity twice: a directory that is lost stays lost', () => {
    const cradles = threeCradles();
    const { clusterId } = bear(cradles);
    countBoot(cradles[0]!.directory);
    lose(cradles[2]!);
    expect(bear(cradles)).toEqual({ clusterId, written: [], lost: [cradles[2]] });
    expect(hasIdentity(cradles[2]!.directory)).toBe(false);
  });

  it('is a new one, with another name, when all of them are gone', () => {
    const cradles = threeCradles();
    const { clusterId } = bear(cradles);
    cradles.forEach(lose);
    expect(bear(cradles).clusterId).not.toBe(clusterId);
  });

  it('finds directories that were exchanged, or are of two clusters', () => {
    const cradles = threeCradles();
    bear(cradles);
    const [one, two, three] = cradles as [Cradle, Cradle, Cradle];
    const exchanged = [
      { ...one, directory: two.directory },
      { ...two, directory: one.directory },
    ];
    expect(() => bear([...exchanged, three])).toThrow(/belongs to node 2 .* not to node 1/);
    const others = threeCradles();
    bear(others);
    expect(() => bear([one, two, others[2]!])).toThrow(/correct the configurations/);
  });

  it('does not invent a node that the cluster was born without', () => {
    const cradles = threeCradles();
    giveBirthOnce(cradles.slice(0, 2), () => mintIdentities([1, 2], {}, 5));
    expect(() => bear(cradles)).toThrow(/born without node 3.*cluster add/);
    expect(readIdentity(cradles[0]!.directory).members).toHaveLength(2);
  });
});

it('a configuration that names its cluster is never that of a new one', () => {
  const configs = [
    { node: 1, data: 'a' },
    { node: 2, data: 'b', clusterId: 'c1' },
  ];
  expect(() => assertNewCluster(configs.map((one) => checkConfig(one, 'c')))).toThrow(
    /node 2 says clusterId: c1.*born already/,
  );
});
