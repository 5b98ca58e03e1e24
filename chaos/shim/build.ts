/** Compiles the shim, once per folder, with the compiler of this machine. */
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, realpathSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { packageFolder } from '../../test/processes/package-folder.ts';

export const SHIM_SOURCE = join(packageFolder(), 'chaos', 'shim', 'shim.c');
const COMPILERS = ['cc', 'gcc', 'clang'];

/** A library to preload, or the reason why there is none on this machine. */
export type Shim = { readonly library: string } | { readonly missing: string };

/** What it takes to build it and is not here; undefined = nothing, as far as can be seen. */
export function shimLacks(): string | undefined {
  if (process.platform !== 'linux') return 'Linux';
  const folders = (process.env.PATH ?? '').split(delimiter);
  const isThere = (name: string) => folders.some((folder) => existsSync(join(folder, name)));
  return COMPILERS.some(isThere) ? undefined : 'C compiler (cc, gcc or clang)';
}

export function buildShim(folder: string): Shim {
  if (process.platform !== 'linux')
    return { missing: `no shim for ${process.platform}, only Linux` };
  const library = join(folder, 'shim.so');
  if (existsSync(library)) return { library };
  mkdirSync(folder, { recursive: true });
  const failures: string[] = [];
  for (const compiler of COMPILERS) {
    try {
      const flags = ['-O2', '-shared', '-fPIC', '-o', library, SHIM_SOURCE, '-ldl', '-lpthread'];
      execFileSync(compiler, flags, { stdio: 'pipe' });
      return { library };
    } catch (error) {
      failures.push(`${compiler}: ${(error as Error).message.split('\n')[0]}`);
    }
  }
  return { missing: `no C compiler could build the shim (${failures.join('; ')})` };
}

/** What a process needs in its environment to run with the shim. */
export function shimEnvironment(
  library: string,
  rootFolder: string,
  stateFolder: string,
): Record<string, string> {
  return {
    LD_PRELOAD: library,
    DISK_SHIM_ROOT: realpathSync(rootFolder),
    DISK_SHIM_STATE: stateFolder,
    // Writes that go through a ring are seen by nobody.
    UV_USE_IO_URING: '0',
  };
}
