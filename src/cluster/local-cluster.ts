/**
 * The data of a local cluster under one root: a marker file that makes the root ours, and a
 * directory per node. Decides what `up` finds: nothing (birth), ours (go on), anything else (stop).
 */
import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { NodeId } from '../../raft/types.ts';
import { type Address, formatAddress } from '../address.ts';
import { type BirthConfig, HTTP_PORT_OFFSET, PEER_PORT_OFFSET } from '../config.ts';
import { ExitCode, Failure, oneLine } from '../failure.ts';
import { contentOf, mintIdentities } from './birth.ts';
import { makeDirectoryDurably, writeDurably } from './durable-file.ts';
import { hasIdentity, type Identity, readIdentity, writeIdentity } from './identity.ts';

const MARKER_FILE = 'holdfast-cluster.json';
const MARKER_FORMAT = 1;
const NODE_DIRECTORY = /^node-[1-9]\d*$/;
/** Left by a process that was killed while it took the lock. */
const LOCK_FILES = /^lock(?:\.\d+)?(?:\.stale)?$/;
export const DEFAULT_NODES = 3;
const PORT_MAX = 65_535;

interface Marker {
  readonly format: typeof MARKER_FORMAT;
  readonly clusterId: string;
  readonly nodes: number;
  /** false while identities are being written: no node was ever started, so it may begin again. */
  readonly born: boolean;
}

/** Beside the nodes' directories, deleted with them. */
export const TLS_DIRECTORY = 'tls';
export const AUTH_DIRECTORY = 'auth';

export interface LocalNode {
  readonly node: NodeId;
  readonly directory: string;
  readonly configFile: string;
  readonly logFile: string;
  readonly grpc: Address;
  readonly peer: Address;
  readonly http: Address;
}

export interface LocalCluster {
  readonly clusterId: string;
  readonly newborn: boolean;
  readonly nodes: readonly LocalNode[];
}

export interface LocalClusterOptions {
  readonly root: string;
  /** undefined = as many as there are, or three. */
  readonly nodes: number | undefined;
  readonly basePort: number;
  readonly birth: Partial<BirthConfig>;
  readonly createdAtMs: number;
}

/** What one node has in its configuration to use TLS on both ports. */
export interface LocalTls {
  readonly cert: string;
  readonly key: string;
  readonly ca: string;
}

/** What all nodes have in their configuration to ask who calls. */
export interface LocalAuth {
  readonly publicKey: string;
  readonly admin: string;
}

/** Makes sure that a cluster is born under the root, and writes each node's configuration. */
export function openLocalCluster(options: LocalClusterOptions): LocalCluster {
  const found = readMarker(options.root);
  const newborn = found?.born !== true;
  const marker = newborn ? bear(options) : found;
  if (options.nodes !== undefined && options.nodes !== marker.nodes) {
    throw new Failure(
      `${options.root} holds a cluster of ${marker.nodes} nodes, not ${options.nodes}; leave out ` +
        '--nodes, choose another --data, or delete it with --fresh',
    );
  }
  const nodes = layout(options.root, marker.nodes, options.basePort);
  for (const node of nodes) assertMember(node, marker);
  const cluster = { clusterId: marker.clusterId, newborn, nodes };
  writeConfigs(cluster);
  return cluster;
}

/** Written at every start, because the ports may have changed; what is born never does. */
export function writeConfigs(
  { clusterId, nodes }: LocalCluster,
  tlsOf?: (node: NodeId) => LocalTls,
  auth?: LocalAuth,
): void {
  for (const node of nodes) {
    const text = configText(node, nodes, clusterId);
    writeFileSync(node.configFile, `${text}${tlsText(tlsOf?.(node.node))}${authText(auth)}`);
  }
}

/** Deletes the nodes' directories under a root that carries our marker, and nothing else. */
export function deleteLocalCluster(root: string): void {
  if (readMarker(root) === undefined) {
    assertNothingForeign(root);
    return;
  }
  for (const name of contentOf(root)) {
    const isOurs = name === TLS_DIRECTORY || name === AUTH_DIRECTORY;
    if (NODE_DIRECTORY.test(name) || isOurs) rmSync(join(root, name), { recursive: true });
  }
  rmSync(join(root, MARKER_FILE));
}

/** Of a local cluster: gRPC on base + i, peers on base + 100 + i, HTTP on base + 200 + i. */
export function layout(root: string, count: number, basePort: number): readonly LocalNode[] {
  if (basePort < 1 || basePort + HTTP_PORT_OFFSET + count > PORT_MAX) {
    throw new Failure(`--base-port ${basePort}: leaves no room for ports`, ExitCode.usage);
  }
  return Array.from({ length: count }, (_, at) => {
    const node = at + 1;
    const directory = join(root, `node-${node}`);
    return {
      node,
      directory,
      configFile: join(directory, 'config.yaml'),
      logFile: join(directory, 'node.log'),
      grpc: { host: '127.0.0.1', port: basePort + node },
      peer: { host: '127.0.0.1', port: basePort + PEER_PORT_OFFSET + node },
      http: { host: '127.0.0.1', port: basePort + HTTP_PORT_OFFSET + node },
    };
  });
}

function bear({ root, nodes = DEFAULT_NODES, birth, createdAtMs }: LocalClusterOptions): Marker {
  if (readMarker(root) === undefined) assertNothingForeign(root);
  makeDirectoryDurably(root);
  const numbers = Array.from({ length: nodes }, (_, at) => at + 1);
  const identities = mintIdentities(numbers, birth, createdAtMs);
  const clusterId = identities[0]!.clusterId;
  const marker: Marker = { format: MARKER_FORMAT, clusterId, nodes, born: false };
  writeMarker(root, marker);
  for (const identity of identities) writeMember(root, identity);
  const born = { ...marker, born: true };
  writeMarker(root, born);
  return born;
}

function writeMember(root: string, identity: Identity): void {
  const directory = join(root, `node-${identity.node}`);
  makeDirectoryDurably(directory);
  writeIdentity(directory, identity);
}

function writeMarker(root: string, marker: Marker): void {
  writeDurably(join(root, MARKER_FILE), `${JSON.stringify(marker)}\n`);
}

function readMarker(root: string): Marker | undefined {
  const file = join(root, MARKER_FILE);
  if (!existsSync(file)) return undefined;
  try {
    const marker = JSON.parse(readFileSync(file, 'utf8')) as Marker;
    if (marker.format === MARKER_FORMAT && Number.isSafeInteger(marker.nodes)) return marker;
  } catch (error) {
    throw new Failure(`${file} is damaged: ${oneLine(error)}`, undefined, error);
  }
  throw new Failure(`${file} was written by another version of holdfast`);
}

function assertNothingForeign(root: string): void {
  const found = contentOf(root).filter((name) => !LOCK_FILES.test(name));
  if (found.length === 0) return;
  throw new Failure(
    `${root} is not empty and holds no cluster of "holdfast up" (${MARKER_FILE} is missing); ` +
      'choose another --data',
  );
}

/** A node that lost its directory must not come back under its old number with an empty one. */
function assertMember({ node, directory }: LocalNode, { clusterId }: Marker): void {
  if (!hasIdentity(directory)) {
    throw new Failure(
      `${directory} is gone or empty, but node ${node} was a member; put it back, or begin anew ` +
        'with --fresh (deletes all data of this cluster)',
    );
  }
  const found = readIdentity(directory).clusterId;
  if (found === clusterId) return;
  throw new Failure(`${directory} holds data of cluster ${found}, this cluster is ${clusterId}`);
}

function tlsText(tls: LocalTls | undefined): string {
  if (tls === undefined) return '';
  const [cert, key, ca] = [tls.cert, tls.key, tls.ca].map((file) => JSON.stringify(file));
  const own = `cert: ${cert}\n  key: ${key}`;
  return `tls:\n  ${own}\n  peer: { cert: ${cert}, key: ${key}, ca: ${ca} }\n`;
}

function authText(auth: LocalAuth | undefined): string {
  if (auth === undefined) return '';
  const keys = JSON.stringify([auth.publicKey]);
  return `auth:\n  tokenKeys: ${keys}\n  admins: ${JSON.stringify([auth.admin])}\n`;
}

function indented(line: string): string {
  return `  ${line}`;
}

/** Written at every start, because the ports may have changed; what is born never does. */
function configText(own: LocalNode, all: readonly LocalNode[], clusterId: string): string {
  const peers = all
    .filter(({ node }) => node !== own.node)
    .map(({ node, peer }) => `  ${node}: ${formatAddress(peer)}`);
  return [
    '# Written by "holdfast up" at each start: changes here are lost (use --set KEY=VALUE).',
    `node: ${own.node}`,
    `data: ${JSON.stringify(own.directory)}`,
    `clusterId: "${clusterId}"`,
    'listen:',
    `  grpc: ${formatAddress(own.grpc)}`,
    `  peer: ${formatAddress(own.peer)}`,
    `  http: ${formatAddress(own.http)}`,
    peers.length === 0 ? 'peers: {}' : 'peers:',
    ...peers,
    // The disk of somebody's own machine is often fuller than a server's may be.
    'retention:',
    ...['diskHighPercent: 97', 'diskCriticalPercent: 98', 'diskFullPercent: 99'].map(indented),
    '',
  ].join('\n');
}
