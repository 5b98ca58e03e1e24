/** What the commands that talk to a cluster have in common. */
import { readFileSync } from 'node:fs';
import { type Command, InvalidArgumentError } from 'commander';
import {
  type ConnectOptions,
  connect,
  DEFAULT_SERVERS,
  type Durability,
  type Holdfast,
  type TlsOptions,
  type TokenSource,
} from '../client/index.ts';
import { ExitCode, Failure, oneLine } from '../failure.ts';
import { formatTable } from './table.ts';

export interface ServerOptions {
  readonly server?: string;
  readonly ca?: string;
  readonly cert?: string;
  readonly certKey?: string;
  readonly tokenFile?: string;
}

export interface ClientOptions extends ServerOptions {
  readonly json?: boolean;
}

export function addServerOption(command: Command): Command {
  return command
    .option(
      '-s, --server <HOST:PORT,…>',
      `one or more nodes (default: $HOLDFAST_SERVER or ${DEFAULT_SERVERS})`,
    )
    .option('--ca <FILE>', 'use TLS; the CA of the nodes (default: $HOLDFAST_CA)')
    .option('--cert <FILE>', 'certificate to show them (default: $HOLDFAST_CERT)')
    .option('--cert-key <FILE>', 'its private key (default: $HOLDFAST_CERT_KEY)')
    .option(
      '--token-file <FILE>',
      'token that says who calls (default: the one in $HOLDFAST_TOKEN)',
    );
}

export function addClientOptions(command: Command): Command {
  return addServerOption(command).option('--json', 'for scripts: JSON instead of text');
}

/** Runs `work` with a client that is closed afterwards, whatever happens. */
export async function withClient(
  options: ServerOptions,
  work: (client: Holdfast) => Promise<void>,
): Promise<void> {
  const servers = options.server ?? (process.env.HOLDFAST_SERVER || DEFAULT_SERVERS);
  const client = open({ servers, tls: tlsOf(options), token: tokenOf(options) });
  try {
    await work(client);
  } finally {
    await client.close();
  }
}

/** Runs `work` with a signal that the first SIGINT or SIGTERM fires; a second one ends it hard. */
export async function untilInterrupted(
  work: (signal: AbortSignal) => Promise<void>,
): Promise<void> {
  const stop = new AbortController();
  const interrupt = () => stop.abort();
  process.once('SIGINT', interrupt);
  process.once('SIGTERM', interrupt);
  try {
    await work(stop.signal);
  } finally {
    process.removeListener('SIGINT', interrupt);
    process.removeListener('SIGTERM', interrupt);
  }
}

/** Without any of them: no TLS. */
function tlsOf(options: ServerOptions): TlsOptions | undefined {
  const { HOLDFAST_CA, HOLDFAST_CERT, HOLDFAST_CERT_KEY } = process.env;
  const files = {
    ca: options.ca ?? HOLDFAST_CA,
    cert: options.cert ?? HOLDFAST_CERT,
    key: options.certKey ?? HOLDFAST_CERT_KEY,
  };
  const given = Object.entries(files).filter(([, file]) => file !== undefined && file !== '');
  if (given.length === 0) return undefined;
  return Object.fromEntries(given.map(([name, file]) => [name, contentOf(file!)]));
}

function contentOf(file: string): Buffer {
  try {
    return readFileSync(file);
  } catch (error) {
    throw new Failure(`cannot read ${file}: ${oneLine(error)}`, ExitCode.usage, error);
  }
}

/** Read anew for each call: whoever renews it replaces the file. */
function tokenOf({ tokenFile }: ServerOptions): TokenSource | undefined {
  if (tokenFile === undefined) return process.env.HOLDFAST_TOKEN || undefined;
  contentOf(tokenFile);
  return () => readFileSync(tokenFile, 'utf8');
}

function open(options: ConnectOptions): Holdfast {
  try {
    return connect(options);
  } catch (error) {
    if (error instanceof TypeError) throw new Failure(oneLine(error), ExitCode.usage);
    throw error;
  }
}

const LEVELS: readonly Durability[] = ['MAJORITY_FSYNC', 'MAJORITY', 'LEADER', 'NONE'];

/** `majority-fsync` as well as `MAJORITY_FSYNC`. */
export function durabilityOption(text: string): Durability {
  const name = text.toUpperCase().replaceAll('-', '_');
  const level = LEVELS.find((one) => one === name);
  if (level !== undefined) return level;
  throw new InvalidArgumentError(`must be one of ${LEVELS.join(', ')}.`);
}

const UNIT_MS: Readonly<Record<string, number>> = {
  ms: 1,
  s: 1000,
  m: 60_000,
  h: 3_600_000,
  d: 86_400_000,
};

/** `500ms`, `30s`, `15m`, `72h`, `7d`. */
export function durationOption(text: string): number {
  const match = /^(\d{1,12})(ms|s|m|h|d)$/.exec(text);
  const value = Number(match?.[1]) * (UNIT_MS[match?.[2] ?? ''] ?? Number.NaN);
  if (Number.isSafeInteger(value)) return value;
  throw new InvalidArgumentError('must be a number and a unit: ms, s, m, h or d, such as 72h.');
}

/** `2026-01-31T12:00Z`, or Unix milliseconds. */
export function timeFrom(text: string): Date | undefined {
  if (/^\d{11,15}$/.test(text)) return new Date(Number(text));
  const time = /^\d{4}-\d\d-\d\d/.test(text) ? new Date(text) : undefined;
  return Number.isNaN(time?.getTime()) ? undefined : time;
}

export function timeOption(text: string): Date {
  const time = timeFrom(text);
  if (time !== undefined) return time;
  throw new InvalidArgumentError('must be a time such as 2026-01-31T12:00Z, or Unix ms.');
}

const UNIT_BYTES: Readonly<Record<string, number>> = {
  '': 1,
  KB: 1e3,
  MB: 1e6,
  GB: 1e9,
  TB: 1e12,
  KiB: 2 ** 10,
  MiB: 2 ** 20,
  GiB: 2 ** 30,
  TiB: 2 ** 40,
};

/** `1000000`, `500MB`, `10GiB`. */
export function bytesOption(text: string): number {
  const match = /^(\d{1,15})\s*([A-Za-z]*)$/.exec(text);
  const value = Number(match?.[1]) * (UNIT_BYTES[match?.[2] ?? '-'] ?? Number.NaN);
  if (Number.isSafeInteger(value)) return value;
  throw new InvalidArgumentError('must be bytes, also with KB, MB, GB, KiB, MiB or GiB.');
}

/** Writes to stdout and waits when the reader is slow. */
export function print(text: string | Uint8Array): Promise<void> | undefined {
  if (process.stdout.write(text)) return undefined;
  return new Promise((resolve) => process.stdout.once('drain', resolve));
}

export function printJson(value: unknown): void {
  void print(`${JSON.stringify(value)}\n`);
}

export function printTable(heads: readonly string[], rows: readonly (readonly unknown[])[]): void {
  for (const line of formatTable(heads, rows)) void print(`${line}\n`);
}
