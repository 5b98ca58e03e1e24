/**
 * From a directory to a log that can be written: recovery, then a new segment of a new epoch that
 * holds the tail of the old one. Only when that segment is on the disk under its name is the log
 * open (internals rule 3); a crash before leaves everything as it was.
 */
import path from 'node:path';
import type { ShardId, ShardState } from '../raft/types.ts';
import type { OpenedLog } from './commit-log.ts';
import { StorageError } from './errors.ts';
import type { Files } from './files.ts';
import { promised, promisedDone } from './files.ts';
import { FlushBuffer } from './flush-buffer.ts';
import type { WriteTarget } from './log-writer.ts';
import { startSegment, writeSidecar } from './log-writer.ts';
import { MarkerFile } from './marker.ts';
import type { FoundSegment, Recovery } from './recovery.ts';
import { applyRecord, damaged, recover } from './recovery.ts';
import { segmentName } from './segment.ts';
import { Segments } from './segments.ts';
import { ShardIndex } from './shard-index.ts';
import { encodeSidecar } from './sidecar.ts';

export async function openLogFiles(
  files: Files,
  directory: string,
  createShards: readonly { readonly shard: ShardId; readonly state: ShardState }[],
): Promise<OpenedLog> {
  const beganMs = performance.now();
  await promisedDone((done) => files.makeDirectory(directory, done));
  await promisedDone((done) => files.syncDirectory(path.dirname(directory), done));
  const names = await promised<readonly string[]>((done) => files.list(directory, done));
  const marker = await MarkerFile.open(files, directory, names);
  const recovery = await recover(files, directory, names, marker.found);
  for (const { shard, state } of createShards) {
    if (recovery.shards.has(shard) || hasState(recovery, shard)) continue;
    recovery.shards.set(shard, new ShardIndex(shard, state, true));
  }
  const target = await continueInNewSegment(files, directory, recovery);
  const copiedBytes = recovery.tail.reduce((sum, { raw }) => sum + raw.length, 0);
  return {
    segments: segmentsOf(files, directory, recovery.segments, target),
    shards: recovery.shards,
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
): Promise<WriteTarget> {
  const last = recovery.segments.at(-1);
  const sequence = (last?.sequence ?? 0) + 1;
  const identity = { sequence, epoch: (last?.epoch ?? 0) + 1 };
  const copies = recovery.tail.map(({ raw }) => raw);
  const content = FlushBuffer.initialContent(identity, recovery.shards.values(), copies);
  let position = content.end - copies.reduce((sum, raw) => sum + raw.length, 0);
  for (const record of recovery.tail) {
    applyTail(recovery, directory, record, sequence, position);
    position += record.raw.length;
  }
  checkComplete(recovery, directory);
  await tidyUp(files, directory, recovery);
  const header = { ...identity, previousEnd: last?.end ?? 0, initialEnd: content.end };
  return promised<WriteTarget>((done) =>
    startSegment(files, directory, header, content.parts, done),
  );
}

function applyTail(
  recovery: Recovery,
  directory: string,
  record: Recovery['tail'][number],
  sequence: number,
  position: number,
): void {
  try {
    applyRecord(recovery.shards, record, sequence, position);
  } catch (error) {
    const reason = `records contradict each other: ${(error as Error).message}`;
    const file = path.join(directory, segmentName(sequence - 1));
    throw damaged(file, { position: record.position, reason, header: record.header });
  }
}

function checkComplete(recovery: Recovery, directory: string): void {
  for (const index of recovery.shards.values()) {
    const missing = index.finishRecovery();
    if (missing === undefined) continue;
    throw new StorageError(
      'DATA_LOSS',
      `${directory}: shard ${index.shard} lacks index ${missing}, though its log begins there. ` +
        'A segment file is missing. Nothing was modified. Restore the file from a copy, or ' +
        'replace this node.',
    );
  }
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
