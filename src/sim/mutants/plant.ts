/**
 * Plants a bug into a copy of the code: of the compiled files for a hunt by seeds, of the sources
 * for a named test. Production code carries no switches for it: what is shipped is what is tested.
 */
import { strict as assert } from 'node:assert';
import {
  cpSync,
  existsSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { packageRoot } from '../../package-root.ts';
import type { Mutant } from './mutant.ts';

const COMPILED_FOLDERS = ['raft', 'storage', 'src'];
const SOURCE_FOLDERS = [...COMPILED_FOLDERS, 'test'];
const SOURCE_FILES = ['package.json', 'tsconfig.json', 'vitest.config.ts'];

/** Where `raft/`, `storage/` and `src/` of the running code are. */
function codeRoot(): string {
  return dirname(dirname(dirname(dirname(fileURLToPath(import.meta.url)))));
}

/** The text with the bug in it; the place must be there exactly once. */
export function planted(text: string, { file, from, to }: Mutant): string {
  const words = from.trim().split(/\s+/).map(escaped);
  const places = text.split(new RegExp(words.join('\\s*'), 'g'));
  assert.equal(places.length, 2, `${file} has the place to plant the bug once`);
  return `${places[0]}${to}${places[1]}`;
}

function escaped(word: string): string {
  return word.replace(/[.*+?^${}()|[\]\\]/g, '\\$&');
}

function linkPackages(directory: string): void {
  let folder = packageRoot();
  while (!existsSync(join(folder, 'node_modules'))) {
    const parent = dirname(folder);
    if (parent === folder) return;
    folder = parent;
  }
  symlinkSync(join(folder, 'node_modules'), join(directory, 'node_modules'));
}

function plantIn(directory: string, mutant: Mutant, ending: string): void {
  const path = join(directory, mutant.file + ending);
  writeFileSync(path, planted(readFileSync(path, 'utf8'), mutant));
}

/** A copy of the compiled simulator with the bug; gives the worker that runs its seeds. */
export function plantCompiled(mutant: Mutant): { worker: URL; remove: () => void } {
  const directory = mkdtempSync(join(tmpdir(), 'holdfast-mutant-'));
  for (const folder of COMPILED_FOLDERS) {
    cpSync(join(codeRoot(), folder), join(directory, folder), {
      recursive: true,
      filter: (path) => !/\.(?:map|d\.ts)$/.test(path),
    });
  }
  writeFileSync(join(directory, 'package.json'), '{"type":"module"}');
  linkPackages(directory);
  plantIn(directory, mutant, '.js');
  const worker = pathToFileURL(join(directory, 'src', 'sim', 'worker.js'));
  return { worker, remove: () => rmSync(directory, { recursive: true, force: true }) };
}

/** A copy of the sources with the bug, to run tests in. Only a checkout has them. */
export function plantSources(mutant: Mutant): { directory: string; remove: () => void } {
  const directory = mkdtempSync(join(tmpdir(), 'holdfast-mutant-'));
  for (const name of [...SOURCE_FOLDERS, ...SOURCE_FILES]) {
    cpSync(join(packageRoot(), name), join(directory, name), { recursive: true });
  }
  linkPackages(directory);
  plantIn(directory, mutant, '.ts');
  return { directory, remove: () => rmSync(directory, { recursive: true, force: true }) };
}
