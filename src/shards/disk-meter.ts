/**
 * How full the disk is that a node's data lies on, and by which of its marks. Asked for once a
 * second: nothing in a file system calls back when it fills up.
 */
import { readdir, stat, statfs } from 'node:fs/promises';
import { join } from 'node:path';
import { DISK_LEVELS, type DiskLevel } from '../cluster/api.ts';
import type { DiskMarks } from '../config.ts';

/** A level ends so many percent below its mark, or a disk at a mark would change it for ever. */
export const RELIEF_PERCENT = 1;

export interface DiskUse {
  /** Of the whole disk, or of `maxDataBytes` where that is fuller. */
  readonly percent: number;
}

/** `maxDataBytes` 0 = all that the disk has. */
export async function measureDisk(directory: string, maxDataBytes: number): Promise<DiskUse> {
  const { bavail, bfree, blocks } = await statfs(directory);
  const used = blocks - bfree;
  // What only root may use counts as used up, as `df` has it.
  const ofDisk = (100 * used) / Math.max(1, used + bavail);
  if (maxDataBytes === 0) return { percent: ofDisk };
  const ofData = (100 * (await bytesBelow(directory))) / maxDataBytes;
  return { percent: Math.max(ofDisk, ofData) };
}

/** What files take on the disk; a file that goes meanwhile takes nothing. */
export async function bytesBelow(directory: string): Promise<number> {
  const entries = await readdir(directory, { recursive: true, withFileTypes: true });
  const files = entries.filter((entry) => entry.isFile());
  const sizes = await Promise.all(
    files.map(({ name, parentPath }) =>
      stat(join(parentPath, name)).then(
        ({ blocks }) => blocks * STAT_BLOCK_BYTES,
        () => 0,
      ),
    ),
  );
  return sizes.reduce((sum, size) => sum + size, 0);
}

/** The unit of `st_blocks`, whatever the file system's own (stat(2)). */
const STAT_BLOCK_BYTES = 512;

export function nextLevel(percent: number, current: DiskLevel, marks: DiskMarks): DiskLevel {
  const risen = levelAt(percent, marks);
  if (rank(risen) >= rank(current)) return risen;
  const kept = levelAt(percent + RELIEF_PERCENT, marks);
  return rank(kept) < rank(current) ? kept : current;
}

function levelAt(percent: number, marks: DiskMarks): DiskLevel {
  if (percent >= marks.diskFullPercent) return 'full';
  if (percent >= marks.diskCriticalPercent) return 'critical';
  return percent >= marks.diskHighPercent ? 'high' : 'low';
}

export function rank(level: DiskLevel): number {
  return DISK_LEVELS.indexOf(level);
}

/** Topics that prefer availability lose their oldest messages. */
export function isNearlyFull(level: DiskLevel): boolean {
  return level === 'critical' || level === 'full';
}
