/**
 * From a directory to a log that can be written: recovery, then a new segment of a new epoch that
 * holds the tail of the old one. Only when that segment is on the disk under its name is the log
 * open (internals rule 3); a crash before leaves everything as it was.
 */
import path from 'node:path';
import type { ShardId, ShardState } from '../raft/types.ts';
import type { OnDamage, OpenedLog } from './commit-log.ts';
import { StorageError } from './errors.ts';
import type { Files } from './files.ts';
import { promised, promisedDone } from './files.ts';
import { InitialContent } from './initial-content.ts';
import type { WriteTarget } from './log-writer.ts';
import { startSegment, writeSidecar } from './log-writer.ts';
import { MarkerFile } from './marker.ts';
import type { FoundSegment, Recovery } from './recovery.ts';
import { damaged, recover } from './recovery.ts';
import { segmentName } from './segment.ts';
import { Segments } from './segments.ts';
import type { ShardIndex } from './shard-index.ts';
import { encodeSidecar } from './sidecar.ts';

export async function openLogFiles(
  files: Files,
  directory: string,
  createShards: readonly { readonly shard: ShardId; readonly state: ShardState }[],
  onDamage: OnDamage,
): Promise<OpenedLog> {
  const beganMs = performance.now();
  await promisedDone((done) => files.makeDirectory(directory, done));
  await promisedDone((done) => files.syncDirectory(path.dirname(directory), done));
  // A name that a killed process left un-synced must not be lost once a later one was made: the
  // gap would make leftovers of the segments before it.
  await promisedDone((done) => files.syncDirectory(directory, done));
  const names = await promised<readonly string[]>((done) => files.list(directory, done));
  const marker = await MarkerFile.open(files, directory, names);
  const recovery = await recover(files, directory, names, marker.found);
  const { live } = recovery.replay.shards;
  for (const { shard, state } of createShards) {
    if (live.has(shard) || hasState(recovery, shard)) continue;
    recovery.replay.shards.create(shard, state, true);
  }
  const target = await continueInNewSegment(files, directory, recovery, onDamage);
  const copiedBytes = recovery.tail.reduce((sum, { raw }) => sum + raw.length, 0);
  return {
    segments: segmentsOf(files, directory, recovery.segments, target),
    shards: recovery.replay.shards,
    target,
    marker,
    report: {
      segments: recovery.segments.length,
      scannedSegments: recovery.sidecars.length,
      scannedRecords: recovery.scannedRecords,
      copiedRecords: recovery.tail.length,
      copiedBytes,
      tornBytes: recovery.tornBytes,
      durationMs: performance.now() - beganMs,
      damage: damageLines(recovery),
    },
  };
}

/** A shard may be known from the tail only. */
function hasState(recovery: Recovery, shard: ShardId): boolean {
  return recovery.tail.some(({ header }) => header.shard === shard);
}

async function continueInNewSegment(
  files: Files,
  directory: string,
  recovery: Recovery,
  onDamage: OnDamage,
): Promise<WriteTarget> {
  const last = recovery.segments.at(-1);
  const sequence = (last?.sequence ?? 0) + 1;
  const identity = { sequence, epoch: (last?.epoch ?? 0) + 1 };
  const content = new InitialContent(identity, recovery.replay.shards);
  copyTail(recovery, directory, content);
  checkComplete(recovery, directory, onDamage);
  await tidyUp(files, directory, recovery);
  const header = { ...identity, previousEnd: last?.end ?? 0, initialEnd: content.end };
  return promised<WriteTarget>((done) =>
    startSegment(files, directory, header, [content.bytes()], done),
  );
}

/** Replays the tail, at the places that it gets in the new segment. */
export function copyTail(recovery: Recovery, directory: string, content: InitialContent): void {
  const { sequence } = content.segment;
  const { replay } = recovery;
  for (const record of recovery.tail) {
    try {
      replay.apply(record, { sequence, position: content.end }, false);
    } catch (error) {
      const reason = `records contradict each other: ${(error as Error).message}`;
      const file = path.join(directory, segmentName(sequence - 1));
      throw damaged(file, { position: record.position, reason, header: record.header });
    }
    content.copy(record, replay.shards.get(record.header.shard));
  }
}

/** Nothing is modified before this: whoever has no peer to ask must get the files back. */
function checkComplete(recovery: Recovery, directory: string, onDamage: OnDamage): void {
  const gap = recovery.replay.finish();
  if (gap !== undefined) {
    throw new StorageError(
      'DATA_LOSS',
      `${directory}: shard ${gap.shard} lacks ${gap.missing}, though its log begins there. ` +
        'A segment file is missing. Nothing was modified. Restore the file from a copy, or ' +
        'replace this node.',
    );
  }
  const { losses, bodies } = recovery;
  const [place] = [...losses, ...bodies];
  for (const index of recovery.replay.shards.live.values()) {
    const isHit = index.state.suspect === true || index.damagedEntries().length > 0;
    if (!isHit || (onDamage === 'isolate' && !isAlone(index.state))) continue;
    throw place === undefined ? hit(directory, index) : damaged(place.file, place.bad);
  }
}

/** Found at an earlier open. */
function hit(directory: string, index: ShardIndex): StorageError {
  const [entry] = index.damagedEntries();
  const what = entry === undefined ? 'its replica is suspect' : `entry ${entry.index} is damaged`;
  return new StorageError('DATA_LOSS', `${directory}: shard ${index.shard}: ${what}`);
}

/** No other replica has the shard's entries (as of its log start). */
function isAlone({ membership, replica }: ShardState): boolean {
  const { voters, votersOutgoing } = membership.config;
  return [...voters, ...votersOutgoing].every((voter) => voter === replica);
}

function damageLines(recovery: Recovery): readonly string[] {
  const lines = recovery.losses.map(
    ({ file, bad }) => `${file} at byte ${bad.position}: ${bad.reason}; records are lost here`,
  );
  for (const index of recovery.replay.shards.live.values()) {
    const { shard, state } = index;
    const bodies = index.damagedEntries();
    if (state.suspect === true) lines.push(`shard ${shard}: replica ${state.replica} is suspect`);
    if (bodies.length === 0) continue;
    lines.push(`shard ${shard}: ${bodies.length} damaged entries from index ${bodies[0]!.index}`);
  }
  return lines;
}

/** Removes what no open will need again; writes the sidecars that were missing. */
async function tidyUp(files: Files, directory: string, recovery: Recovery): Promise<void> {
  for (const name of recovery.leftovers) {
    await promisedDone((done) => files.unlink(path.join(directory, name), done));
  }
  for (const sidecar of recovery.sidecars) {
    await promisedDone((done) =>
      writeSidecar(files, directory, sidecar.sequence, encodeSidecar(sidecar), done),
    );
  }
}

function segmentsOf(
  files: Files,
  directory: string,
  found: readonly FoundSegment[],
  target: WriteTarget,
): Segments {
  const sealed = found.map(({ sequence, epoch, end, fileBytes }) => ({
    sequence,
    epoch,
    end,
    fileBytes,
    handle: undefined,
    readers: 0,
    removed: false,
  }));
  return new Segments(files, directory, [...sealed, target.segment]);
}
