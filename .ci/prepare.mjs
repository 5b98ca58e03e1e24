// Runs after `npm ci` and `npm install` in a checkout, so that `npx holdfast` works at once.
// Where the compiler was left out (--omit=dev), a build that is there is good enough.
import { spawnSync } from 'node:child_process';
import { chmodSync, existsSync, rmSync, symlinkSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const BIN = join('dist', 'src', 'bin.cjs');
const root = dirname(dirname(fileURLToPath(import.meta.url)));

function compiler() {
  try {
    const manifest = createRequire(join(root, 'package.json')).resolve('typescript/package.json');
    return join(dirname(manifest), 'bin', 'tsc');
  } catch {
    return undefined;
  }
}

// `npx holdfast` finds what is linked here at once; npm itself links only the bins of dependencies.
function linkCommand() {
  const link = join(root, 'node_modules', '.bin', 'holdfast');
  if (process.platform === 'win32' || !existsSync(dirname(link))) return;
  chmodSync(join(root, BIN), 0o755);
  rmSync(link, { force: true });
  symlinkSync(join('..', '..', BIN), link);
}

const tsc = compiler();
if (tsc !== undefined) {
  const build = spawnSync(process.execPath, [tsc, '-p', join(root, 'tsconfig.json')], {
    stdio: 'inherit',
  });
  process.exitCode = build.status === 0 ? 0 : 1;
} else if (existsSync(join(root, BIN))) {
  console.log('holdfast: the TypeScript compiler is not installed; using the build in dist/');
} else {
  console.error(
    'holdfast: no build in dist/ and no TypeScript compiler; run npm ci without --omit',
  );
  process.exitCode = 1;
}
if (process.exitCode !== 1 && existsSync(join(root, BIN))) linkCommand();
