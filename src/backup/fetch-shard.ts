/** Brings one shard from its leader into the files of a backup, up to a cut. */
import { closeSync, fsyncSync, openSync, rmSync, writeSync } from 'node:fs';
import type { LogIndex, ShardId } from '../../raft/types.ts';
import type { ShardBytes, ShardCut, ShardPiece } from '../client/index.ts';
import { HoldfastError } from '../client/index.ts';
import { Failure } from '../failure.ts';
import { entryAt } from './entries.ts';
import { checkpointFile, logFile } from './shard-files.ts';

/** What a backup asks of the cluster. */
export interface ShardPort {
  cutShard(shard: ShardId): Promise<ShardCut>;
  readShard(piece: ShardPiece): Promise<ShardBytes>;
}

export interface FetchedShard {
  readonly shard: ShardId;
  readonly floor: LogIndex;
  readonly ceiling: LogIndex;
}

/** Each time another replica leads, whose log begins elsewhere. */
const ATTEMPTS_MAX = 5;

export async function fetchShard(
  port: ShardPort,
  directory: string,
  wanted: FetchedShard,
  onBytes: (bytes: number) => void,
): Promise<void> {
  const { floor, shard } = wanted;
  for (let attempt = 1; ; attempt += 1) {
    const { start } = await port.cutShard(shard);
    if (start.index > floor) throw goneMeanwhile(shard);
    try {
      await fetchCheckpoint(port, directory, shard, start, onBytes);
      await fetchLog(port, directory, wanted, start, onBytes);
      return;
    } catch (error) {
      const hasMoved = error instanceof HoldfastError && error.reason === 'BACKUP_MOVED';
      if (!hasMoved || attempt === ATTEMPTS_MAX) throw error;
    }
  }
}

function goneMeanwhile(shard: ShardId): Failure {
  return new Failure(
    `shard ${shard} is led by a node now whose log begins after this backup did: take it again`,
  );
}

async function fetchCheckpoint(
  port: ShardPort,
  directory: string,
  shard: ShardId,
  start: ShardCut['start'],
  onBytes: (bytes: number) => void,
): Promise<void> {
  const file = checkpointFile(directory, shard);
  rmSync(file, { force: true });
  if (start.index === 0) return;
  await writeWhole(file, async (append) => {
    let total = 1;
    for (let offset = 0; offset < total; ) {
      const { data, totalBytes } = await port.readShard({ shard, start, offset });
      if (data.length === 0) throw new Failure(`the checkpoint of shard ${shard} ended too early`);
      append(data);
      onBytes(data.length);
      total = totalBytes;
      offset += data.length;
    }
  });
}

/** Each entry is verified as it comes; how they follow each other, when all are here. */
async function fetchLog(
  port: ShardPort,
  directory: string,
  { ceiling: to, shard }: FetchedShard,
  start: ShardCut['start'],
  onBytes: (bytes: number) => void,
): Promise<void> {
  await writeWhole(logFile(directory, shard), async (append) => {
    for (let from = start.index + 1; from <= to; ) {
      const { data } = await port.readShard({ shard, start, from, to });
      const next = nextAfter(shard, Buffer.from(data), from);
      append(data);
      onBytes(data.length);
      from = next;
    }
  });
}

function nextAfter(shard: ShardId, data: Buffer, from: LogIndex): LogIndex {
  let next = from;
  for (let at = 0; at < data.length; ) {
    const read = entryAt(data, at, shard);
    if (read?.entry.index !== next) break;
    at += read.bytes;
    next += 1;
    if (at === data.length) return next;
  }
  throw new Failure(`shard ${shard}: what its leader sent of entry ${next} makes no sense`);
}

async function writeWhole(
  file: string,
  fill: (append: (bytes: Uint8Array) => void) => Promise<void>,
): Promise<void> {
  const descriptor = openSync(file, 'w', 0o600);
  try {
    await fill((bytes) => {
      for (let at = 0; at < bytes.length; ) at += writeSync(descriptor, bytes, at);
    });
    fsyncSync(descriptor);
  } finally {
    closeSync(descriptor);
  }
}
