/**
 * The two files of a shard in a backup: `shard-<n>.ckpt`, a checkpoint as nodes write it
 * (storage/STATE.md), and `shard-<n>.log`, the entries behind it (entries.ts).
 */
import { createHash, type Hash } from 'node:crypto';
import { createReadStream, existsSync } from 'node:fs';
import { join } from 'node:path';
import { type Entry, EntryType, type LogIndex, type ShardId } from '../../raft/types.ts';
import { readCheckpointFile } from '../../storage/checkpoint-file.ts';
import type { TableRow } from '../../storage/level-db.ts';
import { stateDigestOf } from '../../storage/state-digest.ts';
import type { Birth } from '../cluster/birth-placement.ts';
import { isOfNodes } from '../cluster/roster.ts';
import { Failure } from '../failure.ts';
import { META_SHARD } from '../shards/shard-machine.ts';
import { encodeEntries, entriesOf, type ReadEntry } from './entries.ts';
import type { BackedUpShard, BackupFile } from './manifest.ts';
import { type Place, ShardReplay } from './shard-replay.ts';

const NOWHERE: Place = { index: 0, term: 0, timeMs: 0 };

export function logFile(directory: string, shard: ShardId): string {
  return join(directory, `shard-${shard}.log`);
}

export function checkpointFile(directory: string, shard: ShardId): string {
  return join(directory, `shard-${shard}.ckpt`);
}

export interface ShardStart {
  readonly place: Place;
  readonly rows: readonly TableRow[];
}

export async function readStart(directory: string, shard: ShardId): Promise<ShardStart> {
  const file = checkpointFile(directory, shard);
  const rows: TableRow[] = [];
  if (!existsSync(file)) return { place: NOWHERE, rows };
  const { applied } = await readCheckpointFile(file, (row) => void rows.push(row));
  if (applied.shard !== shard) throw new Failure(`${file} is a checkpoint of another shard`);
  return { place: applied, rows };
}

export function readLog(
  directory: string,
  shard: ShardId,
  start: Place,
): AsyncGenerator<ReadEntry> {
  const file = logFile(directory, shard);
  return entriesOf(shard, start, createReadStream(file, { highWaterMark: 1024 * 1024 }));
}

/** As it goes into another cluster: who held the shard in this one is of no use there. */
export function withoutMembers(entry: Entry): Entry {
  if (entry.type !== EntryType.config) return entry;
  const nothing = new Uint8Array(0);
  return { ...entry, type: EntryType.noop, head: nothing, payload: nothing, bodyCrc: 0 };
}

export class LogDigest {
  readonly #hash: Hash = createHash('sha256');
  entries = 0;

  add(shard: ShardId, entry: Entry): void {
    this.entries += 1;
    this.#hash.update(encodeEntries(shard, [withoutMembers(entry)]));
  }

  /** Once. */
  hex(): string {
    return this.#hash.digest('hex');
  }
}

/** The rows that another cluster takes over. */
export function keptRows(shard: ShardId, rows: readonly TableRow[]): readonly TableRow[] {
  return shard === META_SHARD ? rows.filter(({ key, kind }) => !isOfNodes(kind, key)) : rows;
}

export interface CutShard
  extends Pick<
    BackedUpShard,
    'cut' | 'entries' | 'logDigest' | 'messages' | 'start' | 'stateDigest'
  > {
  readonly replay: ShardReplay;
  /** Of the log file, up to and including the entry at the cut. */
  readonly logBytes: number;
}

/** Replays the shard up to and including `through`; all of it when that is left out. */
export async function replayShard(
  directory: string,
  shard: ShardId,
  birth: Birth,
  through: LogIndex = Number.POSITIVE_INFINITY,
): Promise<CutShard> {
  const { place, rows } = await readStart(directory, shard);
  const replay = new ShardReplay(shard, birth, place, rows);
  const digest = new LogDigest();
  let logBytes = 0;
  for await (const { bytes, entry } of readLog(directory, shard, place)) {
    if (entry.index > through) break;
    replay.apply(entry);
    digest.add(shard, entry);
    logBytes += bytes;
  }
  return {
    ...{ cut: replay.last, entries: digest.entries, logDigest: digest.hex(), logBytes, replay },
    ...{ messages: messagesIn(replay), start: place },
    stateDigest: stateDigestOf(keptRows(shard, replay.rows())),
  };
}

function messagesIn({ data }: ShardReplay): number {
  let messages = 0;
  for (const queue of data?.queues() ?? []) messages += queue.endOffset - queue.startOffset;
  return messages;
}

export async function checkedFile(directory: string, name: string): Promise<BackupFile> {
  const hash = createHash('sha256');
  let bytes = 0;
  for await (const piece of createReadStream(join(directory, name))) {
    hash.update(piece as Buffer);
    bytes += (piece as Buffer).length;
  }
  return { name, bytes, sha256: hash.digest('hex') };
}
