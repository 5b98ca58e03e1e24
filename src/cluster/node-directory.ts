/** The way into a node's data directory: whose it is, that nobody else is in it, which boot. */
import { statSync } from 'node:fs';
import type { NodeConfig } from '../config.ts';
import { ExitCode, Failure } from '../failure.ts';
import { contentOf } from './birth.ts';
import { countBoot, everStarted, hasIdentity, type Identity, readIdentity } from './identity.ts';

/** Checks that the directory was born, and as this very node. Writes nothing. */
export function checkDirectory(config: NodeConfig): Identity {
  if (!hasIdentity(config.data)) throw unborn(config);
  assertOwnersOnly(config.data);
  const identity = readIdentity(config.data);
  const { clusterId, node } = identity;
  const whose = `${config.data} belongs to node ${node} of cluster ${clusterId}`;
  if (node !== config.node) {
    throw new Failure(`${whose}, not to node ${config.node}; correct node or data`);
  }
  if (config.clusterId !== undefined && config.clusterId !== clusterId) {
    throw new Failure(
      `${whose}, but the configuration says clusterId: ${config.clusterId}; correct one of them`,
    );
  }
  assertSameMembers(config, identity, whose);
  assertSameBirth(config, identity);
  return identity;
}

/** Of a volume that somebody else has mounted for us the rights are not ours to say. */
function assertOwnersOnly(directory: string): void {
  const { mode, uid } = statSync(directory);
  if (uid !== process.geteuid?.() || (mode & 0o077) === 0) return;
  const rights = (mode & 0o777).toString(8).padStart(4, '0');
  throw new Failure(`${directory} is open to others than its owner (${rights}): chmod 700 it`);
}

function unborn({ node, data }: NodeConfig): Failure {
  const what = contentOf(data).length === 0 ? 'is empty' : 'holds no identity.json';
  return new Failure(
    `node ${node}: ${data} ${what}. For a new cluster: "holdfast cluster init --config FILE…"` +
      ' once, with the files of all nodes; to join one that runs, "holdfast cluster add --config' +
      ` FILE", and before it, if the node lost its directory, "holdfast cluster remove ${node}"`,
  );
}

/** Of a cluster just born. Later members come and go, and the metadata knows where they are. */
function assertSameMembers(config: NodeConfig, identity: Identity, whose: string): void {
  const { contacts, members } = identity;
  if (contacts.length > 0 || everStarted(config.data)) return;
  const nodes = members.map(({ node }) => node);
  const stranger = [...config.peers.keys()].find((node) => !nodes.includes(node));
  if (stranger !== undefined) {
    throw new Failure(
      `${whose}, which has nodes ${nodes.join(', ')}; the configuration lists node ${stranger} ` +
        'under peers. Is this the data of another cluster?',
    );
  }
  const unknown = nodes.find((node) => node !== config.node && !config.peers.has(node));
  if (unknown === undefined) return;
  throw new Failure(`no address for node ${unknown}: add it under peers`, ExitCode.usage);
}

function assertSameBirth({ birth }: NodeConfig, identity: Identity): void {
  for (const key of ['dataShards', 'replicationFactor'] as const) {
    const written = birth[key];
    if (written === undefined || written === identity[key]) continue;
    throw new Failure(
      `${key}: ${written} is written, but the cluster was born with ${identity[key]}, for life`,
      ExitCode.usage,
    );
  }
}

export interface EnteredDirectory {
  readonly identity: Identity;
  readonly bootCounter: number;
  /** Lets the next process in. Idempotent. */
  release(): void;
}

/** Checks, locks, and counts the boot. `lock` fails with the pid when a live process is inside. */
export function enterDirectory(
  config: NodeConfig,
  lock: (directory: string) => { release(): void },
): EnteredDirectory {
  const identity = checkDirectory(config);
  const held = lock(config.data);
  return { identity, bootCounter: countBoot(config.data), release: () => held.release() };
}
