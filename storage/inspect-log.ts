/**
 * Reads a log directory offline, changing nothing: what `holdfast inspect log` prints. Takes no
 * lock; on a directory in use the newest segment is a moving target.
 */
import path from 'node:path';
import type { LogIndex, ShardId, Term } from '../raft/types.ts';
import { StorageError } from './errors.ts';
import type { Files, Handle } from './files.ts';
import { nodeFiles, promised, promisedDone } from './files.ts';
import { InitialContent } from './initial-content.ts';
import type { Marker } from './marker.ts';
import { decodeMarker, MARKER_NAME } from './marker.ts';
import { copyTail } from './open-log.ts';
import type { Recovery } from './recovery.ts';
import { damaged, recover } from './recovery.ts';
import { scanRecords } from './scan.ts';
import { SEGMENT_HEADER_BYTES, segmentName } from './segment.ts';

export interface InspectedSegment {
  readonly file: string;
  readonly sequence: number;
  readonly epoch: number;
  readonly fileBytes: number;
  /** Where its valid records end; what lies behind is zeros or a dead tail. */
  readonly end: number;
  /** Only with `verify`. */
  readonly records?: number;
}

export interface InspectedShard {
  readonly shard: ShardId;
  readonly firstIndex: LogIndex;
  readonly lastIndex: LogIndex;
  readonly lastTerm: Term;
  /** Number of terms that the stored entries span. */
  readonly terms: number;
  readonly term: Term;
  readonly vote: number;
  readonly commit: LogIndex;
  readonly replica: number;
  /** Records of it may be lost: it takes no part until another replica replaces it. */
  readonly suspect: boolean;
  /** Entries that wait to be fetched from a peer. */
  readonly damagedEntries: number;
  readonly voters: readonly number[];
}

export interface Damage {
  readonly code: string;
  readonly message: string;
}

export interface LogInspection {
  readonly directory: string;
  readonly cleanlyClosed: boolean;
  readonly segments: readonly InspectedSegment[];
  readonly shards: readonly InspectedShard[];
  /** The highest replica id of each shard that left. */
  readonly tombstones: readonly { readonly shard: ShardId; readonly replica: number }[];
  /** Intact records past the synced point, which the next open copies. */
  readonly tailRecords: number;
  readonly tornBytes: number;
  readonly damage: readonly Damage[];
}

export interface InspectOptions {
  /** Also reads and checks every record of every segment. */
  readonly verify?: boolean;
  readonly files?: Files;
}

export async function inspectLog(
  directory: string,
  options: InspectOptions = {},
): Promise<LogInspection> {
  const files = options.files ?? nodeFiles;
  const names = await promised<readonly string[]>((done) => files.list(directory, done));
  const marker = await readMarker(files, directory, names);
  const damage: Damage[] = [];
  const recovery = await recovered(files, directory, names, marker, damage);
  const segments: InspectedSegment[] = [];
  // Reading every record finds the same places, and more.
  if (recovery !== undefined && options.verify !== true) {
    const places = [...recovery.losses, ...recovery.bodies];
    damage.push(...places.map(({ file, bad }) => asDamage(damaged(file, bad))));
  }
  for (const found of recovery?.segments ?? []) {
    const { sequence, epoch, fileBytes, end } = found;
    const records =
      options.verify === true ? await verify(files, directory, found, damage) : undefined;
    const file = segmentName(sequence);
    segments.push({
      file,
      sequence,
      epoch,
      fileBytes,
      end,
      ...(records === undefined ? {} : { records }),
    });
  }
  const newest = recovery?.segments.at(-1);
  return {
    directory,
    cleanlyClosed: marker?.clean === true && marker.sequence === newest?.sequence,
    segments,
    shards: recovery === undefined ? [] : inspectedShards(recovery),
    tombstones: [...(recovery?.replay.shards.tombstones ?? [])].map(([shard, replica]) => ({
      shard,
      replica,
    })),
    tailRecords: recovery?.tail.length ?? 0,
    tornBytes: recovery?.tornBytes ?? 0,
    damage,
  };
}

/** With sidecars; if that fails, damage is reported and nothing but that. */
async function recovered(
  files: Files,
  directory: string,
  names: readonly string[],
  marker: Marker | undefined,
  damage: Damage[],
): Promise<Recovery | undefined> {
  try {
    const recovery = await recover(files, directory, names, marker);
    const sequence = (recovery.segments.at(-1)?.sequence ?? 0) + 1;
    copyTail(
      recovery,
      directory,
      new InitialContent({ sequence, epoch: 0 }, recovery.replay.shards),
    );
    const gap = recovery.replay.finish();
    if (gap !== undefined) {
      const message = `shard ${gap.shard} lacks ${gap.missing}: a segment file is missing`;
      damage.push({ code: 'DATA_LOSS', message });
    }
    return recovery;
  } catch (error) {
    damage.push(asDamage(error));
    return undefined;
  }
}

function inspectedShards(recovery: Recovery): InspectedShard[] {
  return [...recovery.replay.shards.live.values()]
    .sort((a, b) => a.shard - b.shard)
    .map((index) => {
      const { shard, state, lastIndex, termStarts } = index.recovered();
      return {
        shard,
        firstIndex: state.logStart.index + 1,
        lastIndex,
        lastTerm: termStarts.at(-1)?.term ?? state.logStart.term,
        terms: termStarts.length,
        term: state.hardState.term,
        vote: state.hardState.vote,
        commit: state.hardState.commit,
        replica: state.replica,
        suspect: state.suspect === true,
        damagedEntries: index.damagedEntries().length,
        voters: state.membership.config.voters,
      };
    });
}

/** Every record up to the segment's end, by reading the file and not its sidecar. */
async function verify(
  files: Files,
  directory: string,
  segment: { sequence: number; epoch: number; end: number },
  damage: Damage[],
): Promise<number> {
  const file = path.join(directory, segmentName(segment.sequence));
  const handle = await promised<Handle>((done) => files.open(file, 'read', done));
  try {
    const from = SEGMENT_HEADER_BYTES;
    const scan = await scanRecords(files, handle, segment, from, segment.end, (record) => {
      if (record.intact) return;
      const { header, position } = record;
      const what = `shard ${header.shard}, index ${header.index}`;
      const message = `${file} at byte ${position} (${what}): the body does not match its CRC`;
      damage.push({ code: 'DATA_LOSS', message });
    });
    if (scan.bad !== undefined) {
      const { position, reason } = scan.bad;
      damage.push({ code: 'DATA_LOSS', message: `${file} at byte ${position}: ${reason}` });
    }
    return scan.records;
  } finally {
    await promisedDone((done) => files.close(handle, done));
  }
}

async function readMarker(
  files: Files,
  directory: string,
  names: readonly string[],
): Promise<Marker | undefined> {
  if (!names.includes(MARKER_NAME)) return undefined;
  const file = path.join(directory, MARKER_NAME);
  const handle = await promised<Handle>((done) => files.open(file, 'read', done));
  try {
    const bytes = await promised<number>((done) => files.size(handle, done));
    const source = Buffer.alloc(bytes);
    const got = await promised<number>((done) => files.read(handle, source, 0, done));
    return decodeMarker(source.subarray(0, got));
  } finally {
    await promisedDone((done) => files.close(handle, done));
  }
}

function asDamage(error: unknown): Damage {
  if (error instanceof StorageError) return { code: error.code, message: error.message };
  return { code: 'IO', message: error instanceof Error ? error.message : String(error) };
}
