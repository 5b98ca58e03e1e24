/** The identity of a directory that is added to a cluster which runs already. */
import { formatAddress } from '../address.ts';
import type { NodeConfig } from '../config.ts';
import { ExitCode, Failure } from '../failure.ts';
import { newId } from './birth.ts';
import {
  everStarted,
  hasIdentity,
  IDENTITY_FORMAT,
  type Identity,
  type Member,
  readIdentity,
} from './identity.ts';

export { assertCradleEmpty } from './birth.ts';

/** What a cluster says about itself. */
export interface RunningCluster {
  readonly clusterId: string;
  readonly members: readonly (Member & { readonly peerAddress: string })[];
  readonly dataShards: number;
  readonly replicationFactor: number;
  readonly born: readonly Member[];
  readonly createdAtMs: number;
  readonly bornAtLevel: number;
}

/** What is written in the configuration must be true of the cluster. */
export function assertSameCluster(config: NodeConfig, cluster: RunningCluster): void {
  if (config.clusterId !== undefined && config.clusterId !== cluster.clusterId) {
    throw new Failure(
      `the configuration says clusterId: ${config.clusterId}, but this is ${cluster.clusterId}: ` +
        'another --server, or correct it',
    );
  }
  for (const key of ['dataShards', 'replicationFactor'] as const) {
    const written = config.birth[key];
    if (written === undefined || written === cluster[key]) continue;
    const text = `${key}: ${written} is written, but the cluster was born with ${cluster[key]}`;
    throw new Failure(`${text}, for life`, ExitCode.usage);
  }
  assertOwnPort(config, cluster);
}

/** Two nodes under one address: an easy mistake after copying a configuration. */
function assertOwnPort({ advertise, node }: NodeConfig, { members }: RunningCluster): void {
  const own = formatAddress(advertise.peer);
  const other = members.find((one) => one.node !== node && one.peerAddress === own);
  if (other === undefined) return;
  throw new Failure(`${own} is where node ${other.node} listens for peers: correct listen.peer`);
}

/** Nothing is left to be done for the directory: it took part, or was there at the birth. */
export function isSettled(directory: string): boolean {
  if (!hasIdentity(directory)) return false;
  return everStarted(directory) || readIdentity(directory).contacts.length === 0;
}

/** The incarnation that an earlier, interrupted `cluster add` gave to the directory. */
export function unfinishedIdentity(
  { data, node }: NodeConfig,
  { clusterId, members }: RunningCluster,
): string | undefined {
  if (!hasIdentity(data)) return undefined;
  const identity = readIdentity(data);
  if (identity.clusterId !== clusterId || identity.node !== node) {
    throw new Failure(
      `${data} belongs to node ${identity.node} of cluster ${identity.clusterId}; give node ` +
        `${node} an empty directory`,
    );
  }
  const { incarnation } = identity;
  const isMember = members.some((one) => one.node === node && one.incarnation === incarnation);
  if (isMember || !everStarted(data)) return incarnation;
  throw new Failure(
    `${data} was in use and is no member any more: add node ${node} with an empty directory`,
  );
}

export function joiningIdentity(
  node: number,
  cluster: RunningCluster,
  incarnation: string | undefined,
): Identity {
  return {
    format: IDENTITY_FORMAT,
    clusterId: cluster.clusterId,
    node,
    incarnation: incarnation ?? newId(),
    dataShards: cluster.dataShards,
    replicationFactor: cluster.replicationFactor,
    members: cluster.born.map(({ node: born, incarnation: first }) => ({
      node: born,
      incarnation: first,
    })),
    contacts: cluster.members.map((member) => ({
      node: member.node,
      incarnation: member.incarnation,
      peerAddress: member.peerAddress,
    })),
    createdAtMs: cluster.createdAtMs,
    featureLevel: cluster.bornAtLevel,
  };
}
