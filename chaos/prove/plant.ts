/** A copy of the package as it was built, with a bug. What is shipped has no switch for it. */
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { packageFolder } from '../../test/processes/package-folder.ts';
import type { BrokenBuild, Edit } from './builds.ts';

/** What `holdfast serve` loads. */
const FOLDERS = ['raft', 'storage', 'src'];
const IS_NOT_RUN = /\.(?:map|d\.c?ts)$/;

export interface PlantedBuild {
  /** In place of `holdfast`. */
  readonly binary: string;
  remove(): void;
}

/** The place must be there exactly once, or the build is not what it is said to be. */
export function edited(text: string, { file, from, to }: Edit): string {
  const words = from.trim().split(/\s+/).map(escaped);
  const parts = text.split(new RegExp(words.join('\\s+'), 'g'));
  if (parts.length === 2) return `${parts[0]}${to}${parts[1]}`;
  throw new Error(`${file}: ${parts.length - 1} places like: ${from}`);
}

function escaped(word: string): string {
  return word.replace(/[.*+?^${}()|[\]\\]/g, '\\$&');
}

/** Below the package, so that it finds the same dependencies and the same proto files. */
export function plant({ name, edits }: BrokenBuild, root = packageFolder()): PlantedBuild {
  const shelf = join(root, '.cache', 'chaos-prove');
  mkdirSync(shelf, { recursive: true });
  const folder = mkdtempSync(join(shelf, `${name}-`));
  const remove = () => rmSync(folder, { recursive: true, force: true });
  try {
    for (const part of FOLDERS) {
      const filter = (path: string) => !IS_NOT_RUN.test(path);
      cpSync(join(root, 'dist', part), join(folder, part), { recursive: true, filter });
    }
    for (const edit of edits) {
      const path = join(folder, `${edit.file}.js`);
      writeFileSync(path, edited(readFileSync(path, 'utf8'), edit));
    }
  } catch (error) {
    remove();
    throw error;
  }
  return { binary: join(folder, 'src', 'bin.cjs'), remove };
}
