/** How full the disk is, and what of it is ours beside the commit log, which knows by itself. */
import { readdir, stat, statfs } from 'node:fs/promises';
import { join } from 'node:path';

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

/** Files come and go while they are counted; a directory may not be there yet. */
async function bytesIn(directory: string): Promise<number> {
  const names = await readdir(directory).catch(() => []);
  let bytes = 0;
  for (const name of names) {
    const file = await stat(join(directory, name)).catch(() => undefined);
    if (file?.isFile() === true) bytes += file.size;
  }
  return bytes;
}
