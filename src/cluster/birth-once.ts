/** A birth that may be given again: for whatever starts all nodes of one machine each time anew. */
import { ExitCode, Failure } from '../failure.ts';
import { assertCradleEmpty, type Cradle, giveBirth } from './birth.ts';
import { makeDirectoryDurably } from './durable-file.ts';
import {
  everStarted,
  hasIdentity,
  type Identity,
  readIdentity,
  writeIdentity,
} from './identity.ts';

export interface BirthOnce {
  readonly clusterId: string;
  readonly written: readonly Cradle[];
  /** Directories that were lost: they are left as they are, and `serve` refuses them. */
  readonly lost: readonly Cradle[];
}

/**
 * Gives birth when no directory has an identity. A birth that broke off before any node was started
 * is finished. Afterwards nothing is ever written: an identity given twice would be a node that
 * forgot its votes.
 */
export function giveBirthOnce(cradles: readonly Cradle[], mint: () => Identity[]): BirthOnce {
  const born = cradles.filter(({ directory }) => hasIdentity(directory));
  if (born.length === 0) {
    const identities = mint();
    giveBirth(cradles, identities);
    return { clusterId: identities[0]!.clusterId, written: cradles, lost: [] };
  }
  const identities = readOwn(born);
  const identity = identities[0]!;
  const { clusterId } = identity;
  const missing = cradles.filter((cradle) => !born.includes(cradle));
  const isUsed =
    identities.some(({ contacts }) => contacts.length > 0) ||
    born.some(({ directory }) => everStarted(directory));
  if (isUsed) return { clusterId, written: [], lost: missing };
  for (const { node, directory } of missing) assertCradleEmpty(node, directory);
  for (const { node, directory } of missing) {
    const member = identity.members.find((one) => one.node === node);
    if (member === undefined) {
      const text = `cluster ${clusterId} was born without node ${node}: "holdfast cluster add"`;
      throw new Failure(text, ExitCode.usage);
    }
    makeDirectoryDurably(directory);
    writeIdentity(directory, { ...identity, ...member });
  }
  return { clusterId, written: missing, lost: [] };
}

/** Throws unless all are of one cluster and each is in its place. */
function readOwn(born: readonly Cradle[]): readonly Identity[] {
  const identities = born.map(({ directory }) => readIdentity(directory));
  const expected = identities[0]!.clusterId;
  for (const [at, { node, directory }] of born.entries()) {
    const { clusterId, node: owner } = identities[at]!;
    if (owner === node && clusterId === expected) continue;
    throw new Failure(
      `${directory} belongs to node ${owner} of cluster ${clusterId}, not to node ${node} of ` +
        `cluster ${expected}: correct the configurations`,
    );
  }
  return identities;
}
