/** Long commands that are ended from outside: their clusters end with them. */
import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { connect } from '../../src/client/index.ts';
import { until } from '../harness/service-client.ts';
import { temporaryDirectory } from '../harness/temporary-directory.ts';
import { allGone, isAlive } from '../processes/alive.ts';
import { freeBasePort } from '../processes/free-ports.ts';
import { packageFolder } from '../processes/package-folder.ts';
import { UpProcess } from '../processes/up-process.ts';

const TIMEOUT_MS = 120_000;
const NODES = 3;
const GONE_WITHIN_MS = 60_000;

interface Ended {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

/** The processes of the cluster below, as their locks name them: `up` and its nodes. */
function holders(directory: string): readonly number[] {
  return readdirSync(directory, { recursive: true, encoding: 'utf8' })
    .filter((path) => /(?:^|\/)lock$/.test(path))
    .flatMap((path) => {
      const file = join(directory, path);
      return existsSync(file) ? [Number.parseInt(readFileSync(file, 'utf8'), 10)] : [];
    });
}

/** What was started, with all its temporary files below `directory`. */
function start(directory: string, script: string, args: readonly string[]) {
  const child: ChildProcess = spawn(
    process.execPath,
    [join(packageFolder(), 'dist', script), ...args],
    { env: { ...process.env, TMPDIR: directory }, stdio: ['ignore', 'pipe', 'pipe'] },
  );
  child.stdout?.resume();
  child.stderr?.resume();
  const ended = new Promise<Ended>((resolve) => {
    child.once('exit', (code, signal) => resolve({ code, signal }));
  });
  onTestFinished(async () => {
    const pids = holders(directory);
    child.kill('SIGKILL');
    await ended;
    // What a broken leash would leave.
    for (const pid of pids) if (isAlive(pid)) process.kill(pid, 'SIGKILL');
    await allGone(pids, GONE_WITHIN_MS);
  });
  return { child, ended };
}

async function started(directory: string, locks = NODES + 1): Promise<readonly number[]> {
  await until(() => holders(directory).length === locks, 'a started cluster', 60_000);
  return holders(directory);
}

describe('told to end, it stops its cluster and removes its files', () => {
  it.each([
    ['bench/run.js', ['--seconds', '60'], 'SIGHUP'],
    ['bench/soak.js', [], 'SIGINT'],
    ['test/e2e/run.js', ['--attack', 'none'], 'SIGTERM'],
  ] as const)('%s %j %s', { timeout: TIMEOUT_MS }, async (script, args, signal) => {
    const directory = temporaryDirectory();
    const { child, ended } = start(directory, script, args);
    const pids = await started(directory);
    child.kill(signal);
    expect(await ended).toEqual({ code: null, signal });
    expect(pids.filter(isAlive)).toEqual([]);
    expect(readdirSync(directory)).toEqual([]);
  });

  it('chaos judges what it has, and proves nothing', { timeout: TIMEOUT_MS }, async () => {
    const directory = temporaryDirectory();
    const { child, ended } = start(directory, 'chaos/main.js', ['run', 'kill-leader']);
    const pids = await started(directory, NODES);
    child.kill('SIGHUP');
    expect(await ended).toEqual({ code: 3, signal: null });
    expect(pids.filter(isAlive)).toEqual([]);
    expect(readdirSync(directory)).toEqual([]);
  });
});

/** Resolves when the command works on its cluster: it has got past the line `ready`. */
async function atWork(directory: string, locks: number): Promise<readonly number[]> {
  const pids = await started(directory, locks);
  const files = readdirSync(directory, { recursive: true, encoding: 'utf8' });
  const config = files.find((path) => /node-1(?:\/config)?\.yaml$/.test(path)) ?? '';
  const server = /grpc: '?([\d.:]+)/.exec(readFileSync(join(directory, config), 'utf8'))?.[1] ?? '';
  const client = connect({ servers: server });
  onTestFinished(() => client.close());
  const topics = () => client.admin.listTopics().catch(() => []);
  while ((await topics()).length === 0);
  return pids;
}

describe('killed, it takes its cluster along', () => {
  it.each([
    ['test/e2e/run.js', [], NODES + 1],
    ['test/e2e/grow.js', [], NODES],
    ['bench/soak.js', [], NODES + 1],
    ['chaos/main.js', ['run', 'pause-leader'], NODES],
  ])('%s', { timeout: TIMEOUT_MS }, async (script, args, locks) => {
    const directory = temporaryDirectory();
    const { child, ended } = start(directory, script, args);
    const pids = await atWork(directory, locks);
    child.kill('SIGKILL');
    await ended;
    await allGone(pids, GONE_WITHIN_MS);
  });
});

it('up without a leash does not look at its standard input', { timeout: TIMEOUT_MS }, async () => {
  const directory = temporaryDirectory();
  const base = await freeBasePort(NODES);
  const args = ['up', '--data', join(directory, 'd'), '--base-port', `${base}`];
  const { child } = start(directory, 'src/bin.cjs', args);
  await started(directory);
  expect(child.exitCode).toBeNull();
});

it('a cluster that cannot start says why', { timeout: TIMEOUT_MS }, async () => {
  const data = join(temporaryDirectory(), 'd');
  const starting = UpProcess.start({ data, settings: ['raft.electionTimeoutMs=1'] });
  await expect(starting).rejects.toThrow(/ended with exit code 1/);
});
