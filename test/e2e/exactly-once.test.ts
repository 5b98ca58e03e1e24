/** The example of consume-process-produce, whose workers are killed in the midst of it. */
import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { packageFolder } from '../processes/package-folder.ts';
import { UpProcess } from '../processes/up-process.ts';

const TIMEOUT_MS = 180_000;
const EXAMPLE = join(packageFolder(), 'dist', 'examples', 'typescript', 'exactly-once.js');

const root = mkdtempSync(join(tmpdir(), 'holdfast-exactly-once-'));
let cluster: UpProcess;

beforeAll(async () => {
  const settings = ['transactions.firstCheckAfterMs=500', 'transactions.checkIntervalMs=500'];
  cluster = await UpProcess.start({ data: join(root, 'data'), settings });
});

afterAll(async () => {
  await cluster?.stop();
  rmSync(root, { recursive: true, force: true });
});

it('every order becomes one invoice, whatever died', { timeout: TIMEOUT_MS }, async () => {
  const env = { ...process.env, HOLDFAST_SERVER: cluster.servers.join(',') };
  const { stdout } = await promisify(execFile)(process.execPath, [EXAMPLE], { env });
  expect(stdout.match(/a worker ended: SIGKILL/g)).toHaveLength(2);
  expect(stdout).toMatch(/60 orders, 60 invoices, none missing, none twice: ok/);
});
