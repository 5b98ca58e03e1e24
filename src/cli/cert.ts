/** `holdfast cert`: a CA for development, and the certificates of nodes and clients. */
import { type Command, InvalidArgumentError } from 'commander';
import type { CertificatePaths } from '../security/certificate-directory.ts';
import { repeated, wholeNumber } from './options.ts';

const DEFAULT_DIRECTORY = 'certs';
const NODE_MAX = 10_000;
const DAYS_MAX = 36_500;
const AUTHORITY_DAYS = 3650;
const LEAF_DAYS = 365;

interface CertOptions {
  readonly dir: string;
  readonly days: number;
}

interface NodeCertOptions extends CertOptions {
  readonly cluster: string;
  readonly host: readonly string[];
}

interface ClientCertOptions extends CertOptions {
  readonly cluster?: string;
}

export function registerCert(program: Command): void {
  const cert = program.command('cert').description('make a development CA and certificates');
  const add = (name: string, text: string, days: number) =>
    cert
      .command(name)
      .description(text)
      .option('--dir <dir>', 'where they are kept', DEFAULT_DIRECTORY)
      .option('--days <n>', 'how long it is valid', wholeNumber(1, DAYS_MAX), days);
  add('ca', 'a CA; its key does not belong on a node', AUTHORITY_DAYS).action(makeCa);
  add('node', 'a certificate for both ports of one node', LEAF_DAYS)
    .argument('<node>', 'its number', wholeNumber(1, NODE_MAX))
    .requiredOption('--cluster <ID>', 'as "cluster init" and "cluster status" tell it', clusterId)
    .option('--host <NAME|IP>', 'how clients call it, beside localhost', repeated, [])
    .action(makeNode);
  add('client', 'a certificate for clients', LEAF_DAYS)
    .argument('<name>', 'whose it is', clientName)
    .option('--cluster <ID>', 'where it says who calls (auth.clientCertificates)', clusterId)
    .action(makeClient);
}

/** What fits a URI. */
function clusterId(text: string): string {
  if (/^[A-Za-z0-9_.-]{1,64}$/.test(text)) return text;
  throw new InvalidArgumentError('must be the id of a cluster.');
}

/** It becomes the name of two files beside those of the CA and the nodes. */
function clientName(text: string): string {
  const isTaken = /^(?:ca|node-\d+)$/.test(text);
  if (/^[A-Za-z0-9_-][A-Za-z0-9_.-]{0,63}$/.test(text) && !isTaken) return text;
  throw new InvalidArgumentError('must be letters, digits, - _ . and neither ca nor node-N.');
}

/** Loaded when it is needed: the library behind it is the largest that the command line has. */
const certificates = () => import('../security/certificate-directory.ts');

async function makeCa({ dir, days }: CertOptions): Promise<void> {
  const { newAuthority } = await certificates();
  tell('CA', await newAuthority(dir, valid(days)));
}

async function makeNode(node: number, options: NodeCertOptions): Promise<void> {
  const { dir, cluster, days, host: hosts } = options;
  const { AUTHORITY, newNodeCertificate, pathsOf } = await certificates();
  const made = { node, clusterId: cluster, hosts, ...valid(days) };
  const { cert, key } = await newNodeCertificate(dir, made);
  const ca = pathsOf(dir, AUTHORITY).cert;
  tell(`node ${node}`, { cert, key });
  console.log(`In its configuration:\ntls:\n  cert: ${cert}\n  key: ${key}`);
  console.log(`  peer: { cert: ${cert}, key: ${key}, ca: ${ca} }`);
}

async function makeClient(name: string, options: ClientCertOptions): Promise<void> {
  const { cluster, days, dir } = options;
  const { AUTHORITY, newClientCertificate, pathsOf } = await certificates();
  const { cert, key } = await newClientCertificate(dir, name, cluster, valid(days));
  const ca = pathsOf(dir, AUTHORITY).cert;
  tell(`client ${name}`, { cert, key });
  console.log(`Client commands take it as: --ca ${ca} --cert ${cert} --cert-key ${key}`);
}

function valid(days: number): { days: number; nowMs: number } {
  return { days, nowMs: Date.now() };
}

function tell(whose: string, { cert, key }: CertificatePaths): void {
  console.log(`${whose}: ${cert}, ${key}`);
}
