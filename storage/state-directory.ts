/** LevelDB's own files: which they are, and deleting a store that is to be built again. */
import { rmSync } from 'node:fs';
import { readdir, rm } from 'node:fs/promises';
import path from 'node:path';
import { StorageError } from './errors.ts';

const LEVEL_FILE = /^(CURRENT|LOCK|LOG|LOG\.old|MANIFEST-\d+|\d+\.(log|ldb|sst|dbtmp))$/;

async function namesIn(directory: string): Promise<readonly string[]> {
  try {
    return await readdir(directory);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
    throw error;
  }
}

/** Without CURRENT, LevelDB would start anew beside its own data and say nothing. */
export async function missingCurrent(directory: string): Promise<string | undefined> {
  const names = await namesIn(directory);
  const hasData = names.some((name) => /\.(ldb|sst)$|^MANIFEST-/.test(name));
  return hasData && !names.includes('CURRENT') ? 'its file CURRENT is missing' : undefined;
}

/**
 * What is there is not believed any more: the next open builds it again. In one turn, for the
 * process is about to end, and without LevelDB, which may refuse every write by now.
 */
export function condemnState(directory: string): void {
  rmSync(path.join(directory, 'CURRENT'), { force: true });
}

/** Never deletes what LevelDB did not write: the path may be a mistake. */
export async function deleteState(directory: string): Promise<void> {
  const names = await namesIn(directory);
  const foreign = names.find((name) => !LEVEL_FILE.test(name));
  if (foreign !== undefined) {
    const found = path.join(directory, foreign);
    throw new StorageError('IO', `not deleting ${directory}: ${found} is not LevelDB's`);
  }
  await rm(directory, { recursive: true, force: true });
}
