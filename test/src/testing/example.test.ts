import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { expect, it } from 'vitest';
import { packageRoot } from '../../../src/package-root.ts';

const EXAMPLE = join(packageRoot(), 'dist', 'examples', 'typescript', 'application.test.js');

it('the tests of the example pass, and end by themselves', async () => {
  const run = promisify(execFile)(process.execPath, ['--test', '--test-reporter=tap', EXAMPLE]);
  const { stdout } = await run;
  expect(stdout).toMatch(/^# pass 6$/m);
  expect(stdout).toMatch(/^# fail 0$/m);
});
