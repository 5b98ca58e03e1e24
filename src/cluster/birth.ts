/** Gives birth to a cluster: mints its id and every node's identity, all or (on paper) none. */
import { randomBytes } from 'node:crypto';
import { existsSync, readdirSync } from 'node:fs';
import type { NodeId } from '../../raft/types.ts';
import { NEWEST_LEVEL } from '../broker/feature-level.ts';
import { BIRTH_DEFAULTS, type BirthConfig, type NodeConfig } from '../config.ts';
import { ExitCode, Failure } from '../failure.ts';
import { makeDirectoryDurably } from './durable-file.ts';
import {
  everStarted,
  hasIdentity,
  IDENTITY_FORMAT,
  type Identity,
  type Member,
  readIdentity,
  writeIdentity,
} from './identity.ts';

/** Where one member's identity goes. */
export interface Cradle {
  readonly node: NodeId;
  readonly directory: string;
}

const ID_BYTES = 8;

/** Identities of a new cluster, ascending by node. Draws ids; writes nothing. */
export function mintIdentities(
  nodes: readonly NodeId[],
  birth: Partial<BirthConfig>,
  createdAtMs: number,
): Identity[] {
  const ascending = [...nodes].sort((left, right) => left - right);
  const members: Member[] = ascending.map((node) => ({ node, incarnation: newId() }));
  const clusterId = newId();
  const replicationFactor = birth.replicationFactor ?? BIRTH_DEFAULTS.replicationFactor;
  return members.map(({ node, incarnation }) => ({
    format: IDENTITY_FORMAT,
    clusterId,
    node,
    incarnation,
    dataShards: birth.dataShards ?? BIRTH_DEFAULTS.dataShards,
    replicationFactor,
    members,
    contacts: [],
    createdAtMs,
    featureLevel: NEWEST_LEVEL,
  }));
}

export function newId(): string {
  return randomBytes(ID_BYTES).toString('hex');
}

/** Writes the identities. Every directory is looked at before the first one is written to. */
export function giveBirth(cradles: readonly Cradle[], identities: readonly Identity[]): void {
  for (const { node, directory } of cradles) assertCradleEmpty(node, directory);
  for (const { node, directory } of cradles) {
    makeDirectoryDurably(directory);
    writeIdentity(directory, identities.find((identity) => identity.node === node)!);
  }
}

/** Left by `mkfs`, by ourselves or by the user: no sign of a node's data. */
const HARMLESS_NAMES: ReadonlySet<string> = new Set([
  'lost+found',
  'node.log',
  'config.yaml',
  'lock',
]);

export function assertCradleEmpty(node: NodeId, directory: string): void {
  if (hasIdentity(directory)) {
    const { clusterId, node: owner } = readIdentity(directory);
    const unused = everStarted(directory) ? '' : ' (never started: you may delete it)';
    throw new Failure(
      `${directory} already belongs to node ${owner} of cluster ${clusterId}${unused}; ` +
        `give node ${node} an empty directory`,
    );
  }
  const found = contentOf(directory).filter((name) => !HARMLESS_NAMES.has(name));
  if (found.length === 0) return;
  throw new Failure(
    `${directory} is not empty (${found.slice(0, 3).join(', ')}…) and not ours; ` +
      `give node ${node} an empty directory`,
  );
}

/** Names in a directory; none when it does not exist. */
export function contentOf(directory: string): readonly string[] {
  return existsSync(directory) ? readdirSync(directory) : [];
}

/** The members that a set of configurations describes; throws when they do not fit together. */
export function agreedMembers(configs: readonly NodeConfig[]): readonly NodeId[] {
  const nodes = configs.map(({ node }) => node);
  const twice = nodes.find((node, at) => nodes.indexOf(node) !== at);
  if (twice !== undefined) throw usage(`two configurations say node: ${twice}`);
  const directories = configs.map(({ data }) => data);
  const shared = directories.find((data, at) => directories.indexOf(data) !== at);
  if (shared !== undefined) throw usage(`two nodes have the same data directory ${shared}`);
  for (const { node, peers } of configs) {
    const others = nodes.filter((other) => other !== node);
    const missing = others.find((other) => !peers.has(other));
    if (missing !== undefined) {
      throw usage(`node ${node} does not list node ${missing} under peers`);
    }
    const extra = [...peers.keys()].find((other) => !others.includes(other));
    if (extra === undefined) continue;
    throw usage(`node ${node} lists node ${extra} under peers: give its --config FILE as well`);
  }
  return nodes;
}

/** What all configurations say about settings that are fixed at birth. */
export function agreedBirth(configs: readonly NodeConfig[]): Partial<BirthConfig> {
  const [first, ...rest] = configs.map((config) => ({ ...BIRTH_DEFAULTS, ...config.birth }));
  if (first === undefined) throw usage('give the configuration of every node with --config FILE');
  for (const other of rest) {
    for (const key of ['dataShards', 'replicationFactor'] as const) {
      if (first[key] === other[key]) continue;
      throw usage(`the configurations disagree on ${key}: ${first[key]} and ${other[key]}`);
    }
  }
  return first;
}

/** `clusterId` in a configuration is the word of somebody that the cluster exists. */
export function assertNewCluster(configs: readonly NodeConfig[]): void {
  const known = configs.find(({ clusterId }) => clusterId !== undefined);
  if (known === undefined) return;
  const { clusterId, node } = known;
  const text = `node ${node} says clusterId: ${clusterId}: that cluster is born already`;
  throw new Failure(`${text}; for a new one leave clusterId out`);
}

function usage(text: string): Failure {
  return new Failure(text, ExitCode.usage);
}
