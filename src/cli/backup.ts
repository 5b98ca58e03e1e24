/** `holdfast backup`: all shards of a running cluster into a directory, and looking at one. */
import { resolve } from 'node:path';
import type { Command } from 'commander';
import type { BackedUpShard, Manifest } from '../backup/manifest.ts';
import { type BackupProgress, takeBackup } from '../backup/take-backup.ts';
import { verifyBackup } from '../backup/verify-backup.ts';
import type { Holdfast } from '../client/index.ts';
import { ExitCode, errorCode, Failure } from '../failure.ts';
import { addClientOptions, type ClientOptions, printJson, withClient } from './client-options.ts';
import { formatTable } from './table.ts';

interface BackupOptions extends ClientOptions {
  readonly out?: string;
}

const SAY_EVERY_MS = 1000;

export function registerBackup(program: Command): void {
  const backup = addClientOptions(
    program
      .command('backup')
      .description('copy a running cluster into a directory, for `holdfast restore`')
      .option('--out <dir>', 'where to: a directory that is empty or not there'),
  ).action((options: BackupOptions) => withClient(options, (client) => take(client, options)));
  backup
    .command('verify')
    .description('read a whole backup: every checksum, and what its shards come to')
    .argument('<dir>', 'the directory of the backup')
    .action((directory: string, _: unknown, command: Command) =>
      verify(directory, command.optsWithGlobals<ClientOptions>()),
    );
}

async function take(client: Holdfast, { json, out }: BackupOptions): Promise<void> {
  if (out === undefined) throw new Failure('say where to with --out DIR', ExitCode.usage);
  const directory = resolve(out);
  const { admin } = client;
  const { born: members, clusterId, ...birth } = await admin.describeMembers();
  const { bornAtLevel: featureLevel, dataShards, replicationFactor } = birth;
  const manifest = await orNoSpace(directory, () =>
    takeBackup({
      port: admin,
      ...{ clusterId, directory, onProgress: sayer() },
      birth: { dataShards, featureLevel, replicationFactor, members },
    }),
  );
  if (json) printJson(manifest);
  else say(`backup of cluster ${clusterId} in ${directory}`, manifest);
}

async function verify(directory: string, { json }: ClientOptions): Promise<void> {
  const manifest = await verifyBackup(resolve(directory), () => undefined);
  if (json) printJson(manifest);
  else say(`backup of cluster ${manifest.clusterId}: every checksum and digest is right`, manifest);
}

function say(head: string, { endedAtMs, holdfast, shards, startedAtMs }: Manifest): void {
  const seconds = ((endedAtMs - startedAtMs) / 1000).toFixed(1);
  const began = new Date(startedAtMs).toISOString();
  console.log(head);
  console.log(`begun ${began}, taken in ${seconds} s by holdfast ${holdfast}`);
  const heads = ['SHARD', 'CUT', 'ENTRIES', 'MESSAGES', 'BYTES', 'STATE', 'LOG'];
  for (const line of formatTable(heads, shards.map(rowOf))) console.log(line);
}

function rowOf({
  checkpoint,
  cut,
  entries,
  log,
  logDigest,
  messages,
  shard,
  stateDigest,
}: BackedUpShard) {
  const bytes = log.bytes + (checkpoint?.bytes ?? 0);
  return [
    shard,
    cut.index,
    entries,
    messages,
    bytes,
    stateDigest.slice(0, 12),
    logDigest.slice(0, 12),
  ];
}

/** A line a second at most, and one for each step. */
function sayer(): (progress: BackupProgress) => void {
  let [saidAtMs, saidStep] = [0, ''];
  return ({ bytes, shards, shardsDone, step }) => {
    const nowMs = performance.now();
    if (step === saidStep && nowMs - saidAtMs < SAY_EVERY_MS && shardsDone < shards) return;
    [saidAtMs, saidStep] = [nowMs, step];
    const volume = step === 'reading' ? `, ${(bytes / 1e6).toFixed(1)} MB` : '';
    console.error(`  ${step}: ${shardsDone} of ${shards} shards${volume}`);
  };
}

/** What was written so far has no manifest, and so is no backup. */
export async function orNoSpace<Value>(directory: string, work: () => Promise<Value>) {
  try {
    return await work();
  } catch (error) {
    if (errorCode(error) !== 'ENOSPC') throw error;
    throw new Failure(`no space left for ${directory}: make room, delete it, begin again`);
  }
}
