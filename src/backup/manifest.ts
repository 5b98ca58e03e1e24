/**
 * `manifest.json`: what a backup holds, with sizes and checksums of its files and of what they say.
 * Written last: a directory without it is no backup.
 */
import { createHash } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { ShardId } from '../../raft/types.ts';
import type { Birth } from '../cluster/birth-placement.ts';
import { writeDurably } from '../cluster/durable-file.ts';
import { Failure, oneLine } from '../failure.ts';
import type { Place } from './shard-replay.ts';

export const BACKUP_FORMAT = 1;
export const MANIFEST_FILE = 'manifest.json';

export interface BackupFile {
  readonly name: string;
  readonly bytes: number;
  readonly sha256: string;
}

export interface BackedUpShard {
  readonly shard: ShardId;
  /** All that was acknowledged when the backup began lies at or below it. */
  readonly floor: number;
  /** The last entry that is in. */
  readonly cut: Place;
  /** Of the checkpoint; index 0: the log begins with its first entry. */
  readonly start: Place;
  readonly entries: number;
  /** Messages in queues at the cut. */
  readonly messages: number;
  /** Of the small state at the cut, less what belongs to the cluster's nodes. */
  readonly stateDigest: string;
  /** Of the entries, as a restored log has them. */
  readonly logDigest: string;
  readonly log: BackupFile;
  readonly checkpoint: BackupFile | null;
}

/** As the cluster was born: its shards' logs say what came after that. */
export interface Manifest extends Required<Birth> {
  readonly format: typeof BACKUP_FORMAT;
  /** The version that wrote it. */
  readonly holdfast: string;
  /** The cluster that it was taken of. */
  readonly clusterId: string;
  readonly startedAtMs: number;
  readonly endedAtMs: number;
  /** Ascending, the metadata first. */
  readonly shards: readonly BackedUpShard[];
}

export function writeManifest(directory: string, manifest: Manifest): void {
  const sealed = { ...manifest, sha256: checksum(manifest) };
  const text = `${JSON.stringify(sealed, undefined, 2)}\n`;
  writeDurably(join(directory, MANIFEST_FILE), text, 0o600);
}

/** Throws a one-line `Failure` when it is missing, damaged or of a format not known here. */
export function readManifest(directory: string): Manifest {
  const file = join(directory, MANIFEST_FILE);
  if (!existsSync(file)) {
    throw new Failure(`${directory} is no backup: ${MANIFEST_FILE}, written last, is not there`);
  }
  let sealed: Manifest & { readonly sha256?: string };
  try {
    sealed = JSON.parse(readFileSync(file, 'utf8')) as typeof sealed;
  } catch (error) {
    throw new Failure(`${file} cannot be read: ${oneLine(error)}`, undefined, error);
  }
  const { sha256, ...manifest } = sealed;
  if (manifest.format !== BACKUP_FORMAT) {
    const found = String(manifest.format);
    throw new Failure(`${file} has format ${found}, this holdfast knows ${BACKUP_FORMAT}`);
  }
  if (sha256 !== checksum(manifest)) throw new Failure(`${file} does not fit its own checksum`);
  return manifest;
}

function checksum(manifest: Manifest): string {
  return createHash('sha256').update(JSON.stringify(manifest)).digest('hex');
}
