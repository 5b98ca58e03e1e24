/** Compiles a few modules of the checkout, for child processes that plain Node runs. */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('../../', import.meta.url));

export interface Compiled {
  /** Where `<root>/a/b.ts` became `<directory>/a/b.js`. */
  readonly directory: string;
  remove(): void;
}

export function compile(...files: readonly string[]): Compiled {
  const directory = mkdtempSync(path.join(tmpdir(), 'holdfast-compiled-'));
  const config = {
    extends: path.join(root, 'tsconfig.json'),
    compilerOptions: {
      rootDir: root,
      outDir: directory,
      incremental: false,
      declaration: false,
      sourceMap: false,
      // What is run is what other tests check.
      noCheck: true,
      typeRoots: [path.join(root, 'node_modules/@types')],
    },
    include: [],
    files: files.map((file) => path.join(root, file)),
  };
  const configFile = path.join(directory, 'tsconfig.json');
  writeFileSync(configFile, JSON.stringify(config));
  writeFileSync(path.join(directory, 'package.json'), '{"type":"module"}');
  symlinkSync(path.join(root, 'node_modules'), path.join(directory, 'node_modules'));
  const compiler = path.join(root, 'node_modules/typescript/bin/tsc');
  execFileSync(process.execPath, [compiler, '-p', configFile], { stdio: 'inherit' });
  return { directory, remove: () => rmSync(directory, { recursive: true, force: true }) };
}
