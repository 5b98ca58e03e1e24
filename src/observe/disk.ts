/** How full the disk is, and what of it is ours beside the commit log, which knows by itself. */
import { statfs } from 'node:fs/promises';
import { join } from 'node:path';
import { bytesBelow } from '../shards/disk-meter.ts';

export interface DiskFigures {
  readonly freeBytes: number;
  readonly sizeBytes: number;
  readonly stateBytes: number;
  readonly checkpointBytes: number;
}

export async function readDisk(data: string): Promise<DiskFigures> {
  const [disk, stateBytes, checkpointBytes] = await Promise.all([
    statfs(data),
    bytesIn(join(data, 'state')),
    bytesIn(join(data, 'checkpoints')),
  ]);
  return {
    // What is kept back for the superuser is no room for us.
    freeBytes: disk.bavail * disk.bsize,
    sizeBytes: disk.blocks * disk.bsize,
    stateBytes,
    checkpointBytes,
  };
}

/** A directory may not be there yet. */
function bytesIn(directory: string): Promise<number> {
  return bytesBelow(directory).catch(() => 0);
}
