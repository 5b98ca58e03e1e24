/**
 * The build before this one, from the history of this repository: what a rolling upgrade starts
 * from. Compiled once per run into a folder of its own, with the packages that are installed here.
 */
import { execFileSync } from 'node:child_process';
import { mkdirSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { packageRoot } from '../../src/package-root.ts';

/** The last commit whose build knew no feature levels. */
const PREVIOUS = 'cb931c2be5254ebf9261db7bae017282bd53ddef';
const MAX_ARCHIVE_BYTES = 256 * 1024 * 1024;

/** Answers the command of that build. Needs the history: a shallow clone does not do. */
export function buildPrevious(folder: string): string {
  const root = packageRoot();
  const git = { cwd: root, maxBuffer: MAX_ARCHIVE_BYTES };
  const archive = execFileSync('git', ['archive', '--format=tar', PREVIOUS], git);
  mkdirSync(folder, { recursive: true });
  execFileSync('tar', ['-x', '-C', folder], { input: archive });
  symlinkSync(join(root, 'node_modules'), join(folder, 'node_modules'));
  const compiler = join(root, 'node_modules', 'typescript', 'bin', 'tsc');
  // That it is sound was judged when it was new: types are not checked again.
  const options = ['-p', join(folder, 'tsconfig.json'), '--noCheck', '--declaration', 'false'];
  execFileSync(process.execPath, [compiler, ...options], { stdio: 'inherit' });
  return join(folder, 'dist', 'src', 'bin.cjs');
}
