/** Real certificates in files, as an operator would have them; wrong in one way when asked to. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import {
  type CertificateAndKey,
  makeAuthority,
  makeCertificate,
} from '../../src/security/certificates.ts';
import { nodeName } from '../../src/security/node-name.ts';
import type { TlsFiles } from '../../src/security/tls-material.ts';
import { WatchedMaterial } from '../../src/security/watched-material.ts';

export const CLUSTER_ID = 'c1';
const DAY_MS = 86_400_000;

export interface CertificateOptions {
  readonly uris?: readonly string[];
  readonly hosts?: readonly string[];
  readonly days?: number;
  /** Begins so many days from now. */
  readonly inDays?: number;
}

export interface TestAuthority extends CertificateAndKey {
  readonly directory: string;
  readonly ca: string;
}

export async function authority(directory: string, name = 'ca'): Promise<TestAuthority> {
  const made = await makeAuthority(name, { days: 10, nowMs: Date.now() });
  const ca = join(directory, `${name}.crt`);
  writeFileSync(ca, made.cert);
  return { ...made, directory, ca };
}

/** Writes `NAME.crt` and `NAME.key`, over those that are there. */
export async function certificateFiles(
  by: TestAuthority,
  name: string,
  { uris = [], hosts = ['127.0.0.1', 'localhost'], days = 20, inDays = 0 }: CertificateOptions = {},
): Promise<TlsFiles & { readonly ca: string }> {
  const nowMs = Date.now() + inDays * DAY_MS;
  const made = await makeCertificate(by, { commonName: name, uris, hosts, days, nowMs });
  const files = { cert: join(by.directory, `${name}.crt`), key: join(by.directory, `${name}.key`) };
  writeFileSync(files.cert, made.cert);
  writeFileSync(files.key, made.key, { mode: 0o600 });
  return { ...files, ca: by.ca };
}

export function nodeFiles(
  by: TestAuthority,
  node: number,
  options: CertificateOptions = {},
): Promise<TlsFiles & { readonly ca: string }> {
  return certificateFiles(by, `node-${node}`, { uris: [nodeName(CLUSTER_ID, node)], ...options });
}

/** Read as at a time at which the certificate was in order. */
export function materialOf(
  files: TlsFiles,
  inDays = 0,
  log: string[] = [],
): Promise<WatchedMaterial> {
  const write = (line: string) => void log.push(line);
  const logger = { info: write, error: write };
  return WatchedMaterial.open('tls', files, logger, () => Date.now() + inDays * DAY_MS);
}
