/** A directory of certificates: one CA, and what it signed, each as `NAME.crt` and `NAME.key`. */
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { NodeId } from '../../raft/types.ts';
import { Failure } from '../failure.ts';
import {
  type CertificateAndKey,
  makeAuthority,
  makeCertificate,
  type Validity,
} from './certificates.ts';
import { nodeName } from './node-name.ts';
import { clientName } from './principal.ts';

export const AUTHORITY = 'ca';
const OWN_HOSTS = ['localhost', '127.0.0.1', '::1'];

export interface CertificatePaths {
  readonly cert: string;
  readonly key: string;
}

export interface NodeOptions extends Validity {
  readonly node: NodeId;
  readonly clusterId: string;
  /** Beside those of this machine. */
  readonly hosts: readonly string[];
}

export function pathsOf(directory: string, name: string): CertificatePaths {
  return { cert: join(directory, `${name}.crt`), key: join(directory, `${name}.key`) };
}

export function hasAuthority(directory: string): boolean {
  return existsSync(pathsOf(directory, AUTHORITY).key);
}

/** A CA is made once: with another one in its place everything that it signed is worth nothing. */
export async function newAuthority(
  directory: string,
  validity: Validity,
): Promise<CertificatePaths> {
  if (hasAuthority(directory)) {
    throw new Failure(`${directory} has a CA already: delete it, or choose another --dir`);
  }
  mkdirSync(directory, { recursive: true, mode: 0o700 });
  const made = await makeAuthority('Holdfast development CA', validity);
  return write(directory, AUTHORITY, made);
}

/** For both ports of one node. */
export async function newNodeCertificate(
  directory: string,
  { node, clusterId, hosts, ...validity }: NodeOptions,
): Promise<CertificatePaths> {
  const made = await makeCertificate(readAuthority(directory), {
    ...validity,
    commonName: `node ${node}`,
    uris: [nodeName(clusterId, node)],
    hosts: [...new Set([...OWN_HOSTS, ...hosts])],
  });
  return write(directory, `node-${node}`, made);
}

/** With a cluster it says there who calls, where `auth.clientCertificates` is on. */
export async function newClientCertificate(
  directory: string,
  name: string,
  clusterId: string | undefined,
  validity: Validity,
): Promise<CertificatePaths> {
  const uris = clusterId === undefined ? [] : [clientName(clusterId, name)];
  const options = { ...validity, commonName: name, uris, hosts: [] };
  return write(directory, name, await makeCertificate(readAuthority(directory), options));
}

function readAuthority(directory: string): CertificateAndKey {
  if (!hasAuthority(directory)) {
    throw new Failure(`${directory} has no CA: make one with holdfast cert ca --dir ${directory}`);
  }
  const { cert, key } = pathsOf(directory, AUTHORITY);
  return { cert: readFileSync(cert, 'utf8'), key: readFileSync(key, 'utf8') };
}

function write(directory: string, name: string, made: CertificateAndKey): CertificatePaths {
  const paths = pathsOf(directory, name);
  // A file that is there keeps its rights.
  rmSync(paths.key, { force: true });
  writeFileSync(paths.key, made.key, { mode: 0o600 });
  writeFileSync(paths.cert, made.cert);
  return paths;
}
