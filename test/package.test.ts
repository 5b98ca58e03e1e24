/** The package as a stranger gets it: packed, installed without dev dependencies, run. */
import { execFile, spawn } from 'node:child_process';
import { mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { promisify } from 'node:util';
import { expect, it, onTestFinished } from 'vitest';
import { packageRoot, packageVersion } from '../src/package-root.ts';
import { freeBasePort } from './e2e/cluster-process.ts';
import { temporaryDirectory } from './harness/temporary-directory.ts';

const run = promisify(execFile);
const TIMEOUT_MS = 180_000;

/** Packs what `npm test` has just built, and installs it as a user would. */
async function installPacked(prefix: string): Promise<string> {
  const flags = ['--ignore-scripts', '--pack-destination', prefix];
  await run('npm', ['pack', ...flags], { cwd: packageRoot() });
  const tarball = readdirSync(prefix).find((name) => name.endsWith('.tgz'))!;
  writeFileSync(join(prefix, 'package.json'), '{"private": true, "type": "module"}');
  const install = ['install', '--omit=dev', '--prefer-offline', '--no-audit', '--no-fund'];
  await run('npm', [...install, join(prefix, tarball)], { cwd: prefix });
  return join(prefix, 'node_modules', '.bin', 'holdfast');
}

/** Starts `up` in the prefix; gives the address of node 1. */
async function up(bin: string, prefix: string): Promise<string> {
  const base = await freeBasePort(3);
  const child = spawn(bin, ['up', '--base-port', `${base}`], {
    cwd: prefix,
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const exit = new Promise((resolve) => child.once('exit', resolve));
  onTestFinished(async () => {
    child.kill('SIGTERM');
    await exit;
  });
  await new Promise<void>((resolve, reject) => {
    createInterface({ input: child.stdout }).on('line', (line) => {
      if (line === 'ready') resolve();
    });
    void exit.then((code) => reject(new Error(`up ended with ${String(code)}`)));
  });
  return `127.0.0.1:${base + 1}`;
}

it('installs and runs from the tarball', { timeout: TIMEOUT_MS }, async () => {
  const prefix = join(temporaryDirectory(), 'prefix');
  mkdirSync(prefix);
  const bin = await installPacked(prefix);
  const holdfast = async (...args: string[]) => (await run(bin, args, { cwd: prefix })).stdout;
  expect((await holdfast('--version')).trim()).toBe(packageVersion());

  const server = await up(bin, prefix);
  await holdfast('topic', 'create', 'orders', '--server', server);
  const lines = join(prefix, 'lines.txt');
  writeFileSync(lines, 'one\ntwo\n');
  await holdfast('produce', 'orders', '--file', lines, '--queue', '0', '--server', server);
  expect(await holdfast('consume', 'orders', '--server', server)).toBe('one\ntwo\n');

  expect(await holdfast('chaos', 'list')).toContain('kill-leader');

  const script = "import { connect } from 'holdfast'; console.log(typeof connect);";
  expect(await runScript(script, prefix)).toBe('function\n');
  expect(await runScript(TESTING_SCRIPT, prefix)).toBe('after 2 h: paid\n');
});

/** What an application's test does, without anything of ours but the package. */
const TESTING_SCRIPT = `
  import { startTestCluster } from 'holdfast/testing';
  const cluster = await startTestCluster();
  const client = cluster.connect();
  await client.admin.createTopic({ name: 'orders', queueCount: 1 });
  const deliverAtMs = cluster.now() + 7_200_000;
  await client.producer({ topic: 'orders' }).send({ body: 'paid', deliverAtMs });
  await cluster.advance('2h');
  const { messages } = await client.fetch({ topic: 'orders', queue: 0, offset: 0 });
  console.log('after 2 h:', messages.map(({ body }) => body.toString()).join());
  await cluster.stop();
`;

/** It also has to end by itself. */
async function runScript(script: string, cwd: string): Promise<string> {
  const { stdout } = await run(process.execPath, ['--input-type=module', '-e', script], { cwd });
  return stdout;
}

it('holds what a user needs and nothing else', async () => {
  const { stdout } = await run('npm', ['pack', '--dry-run', '--json', '--ignore-scripts'], {
    cwd: packageRoot(),
  });
  const [{ files }] = JSON.parse(stdout) as [{ files: { path: string }[] }];
  const paths = files.map(({ path }) => path);
  for (const path of ['dist/src/bin.cjs', 'LICENSE', 'README.md', 'proto/holdfast/v1/log.proto']) {
    expect(paths).toContain(path);
  }
  const built = /^dist\/(?:chaos|raft|src|storage|test\/processes)\/(?!.*\.test\.)/;
  const others = /^(?:proto\/|chaos\/|[A-Z]+(?:\.md)?$|package\.json$)/;
  expect(paths.filter((path) => !built.test(path) && !others.test(path))).toEqual([]);
});
