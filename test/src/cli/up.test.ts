/** `holdfast up` with real processes: its leash, its restarts, its refusals. */
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { existsSync, readFileSync, rmSync } from 'node:fs';
import { type AddressInfo, createServer } from 'node:net';
import { join } from 'node:path';
import { createInterface, type Interface } from 'node:readline';
import { describe, expect, it, onTestFinished } from 'vitest';
import { freeBasePort, HOLDFAST } from '../../e2e/cluster-process.ts';
import { temporaryDirectory } from '../../harness/temporary-directory.ts';
import { allGone } from '../../processes/alive.ts';

const TIMEOUT_MS = 120_000;

interface Up {
  readonly child: ChildProcess;
  readonly exit: Promise<number | null>;
  /** Lines of both outputs, as they come. */
  readonly lines: string[];
  readonly errors: Interface;
}

function startUp(...args: string[]): Up {
  const child = spawn(process.execPath, [HOLDFAST, 'up', ...args], {
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const lines: string[] = [];
  const errors = createInterface({ input: child.stderr! });
  errors.on('line', (line) => lines.push(line));
  const exit = new Promise<number | null>((resolve) => child.once('close', resolve));
  onTestFinished(async () => {
    child.kill('SIGTERM');
    await exit;
  });
  return { child, exit, lines, errors };
}

/** Resolves with the line that matches, as soon as it is printed. */
function lineOf(source: Interface, up: Up, pattern: RegExp): Promise<string> {
  return new Promise((resolve, reject) => {
    source.on('line', (line) => {
      if (pattern.test(line)) resolve(line);
    });
    void up.exit.then((code) => reject(new Error(`${code}: ${up.lines.join('; ')}`)));
  });
}

/** Resolves with the nodes' pids when the cluster is ready. */
async function ready(up: Up): Promise<readonly number[]> {
  const pids: number[] = [];
  const output = createInterface({ input: up.child.stdout! });
  output.on('line', (line) => {
    const pid = /\bpid (\d+)/.exec(line);
    if (pid !== null) pids.push(Number(pid[1]));
  });
  await lineOf(output, up, /^ready$/);
  return pids;
}

async function freshArguments(): Promise<{ data: string; base: number; args: string[] }> {
  const data = join(temporaryDirectory(), 'data');
  const base = await freeBasePort(3);
  return { data, base, args: ['--data', data, '--base-port', `${base}`] };
}

describe('up', () => {
  it('restarts a killed node on its own directory, and drains', {
    timeout: TIMEOUT_MS,
  }, async () => {
    const { data, args } = await freshArguments();
    const up = startUp(...args);
    const [first] = await ready(up);
    const identity = readFileSync(join(data, 'node-1', 'identity.json'), 'utf8');
    const restarted = lineOf(up.errors, up, /^node 1: pid \d+$/);
    process.kill(first!, 'SIGKILL');
    await restarted;
    expect(up.lines[0]).toBe('node 1 died (killed by SIGKILL); again in 100 ms');
    expect(readFileSync(join(data, 'node-1', 'identity.json'), 'utf8')).toBe(identity);
    up.child.kill('SIGINT');
    expect(await up.exit).toBe(0);
  });

  it('leaves no process and no lock when it is killed', { timeout: TIMEOUT_MS }, async () => {
    const { data, args } = await freshArguments();
    const up = startUp(...args);
    const pids = await ready(up);
    expect(pids).toHaveLength(3);
    up.child.kill('SIGKILL');
    await allGone(pids, TIMEOUT_MS);
    expect(existsSync(join(data, 'node-1', 'lock'))).toBe(false);
    const again = startUp(...args);
    await ready(again);
  });

  it('two on one directory, then on one port', { timeout: TIMEOUT_MS }, async () => {
    const { data, base, args } = await freshArguments();
    const up = startUp(...args);
    await ready(up);
    const elsewhere = await freeBasePort(3);
    const second = startUp('--data', data, '--base-port', `${elsewhere}`);
    expect(await second.exit).toBe(1);
    expect(second.lines).toHaveLength(1);
    expect(second.lines[0]).toMatch(new RegExp(`\\b${up.child.pid}\\b`));
    const third = startUp('--data', join(temporaryDirectory(), 'd'), '--base-port', `${base}`);
    expect(await third.exit).toBe(1);
    expect(third.lines.join()).toMatch(new RegExp(`^holdfast: port ${base + 1} .*--base-port`));
  });

  it('a node that cannot start ends all, with its own words', { timeout: TIMEOUT_MS }, async () => {
    const { data, args } = await freshArguments();
    const wrong = startUp(...args, '--set', 'raft.electionTimeoutMs=1');
    expect(await wrong.exit).toBe(1);
    expect(wrong.lines.at(-1)).toMatch(/^holdfast: node \d cannot start: .*electionTimeoutMs/);
    rmSync(join(data, 'node-2'), { recursive: true });
    const lost = startUp(...args);
    expect(await lost.exit).toBe(1);
    expect(lost.lines.join()).toMatch(/node-2 is gone or empty/);
  });
});

describe('metrics', () => {
  it.each([
    [[], 1],
    [['--set', 'metrics=false'], 0],
  ])('are announced where they are: %j', { timeout: TIMEOUT_MS }, async (more, announced) => {
    const { base, args } = await freshArguments();
    const up = startUp('--nodes', '1', ...args, ...more);
    const said: string[] = [];
    const output = createInterface({ input: up.child.stdout! });
    output.on('line', (line) => said.push(line));
    await lineOf(output, up, /^ready$/);
    const urls = said.flatMap((line) => /http:\S+/.exec(line) ?? []);
    expect(urls).toEqual(Array(announced).fill(`http://127.0.0.1:${base + 201}/metrics`));
    const scrape = fetch(`http://127.0.0.1:${base + 201}/metrics`).then((answer) => answer.status);
    expect(await scrape.catch(() => 'closed')).toBe(announced === 1 ? 200 : 'closed');
  });
});

describe('wrong usage', () => {
  const run = (...args: string[]): Promise<{ code: unknown; text: string }> =>
    new Promise((resolve) => {
      execFile(process.execPath, [HOLDFAST, ...args], (error, stdout, stderr) => {
        resolve({ code: error?.code ?? 0, text: stdout + stderr });
      });
    });

  it.each([
    [['upp'], 2, /Did you mean up\?/],
    [['up', '--nodes', '0'], 2, /whole number from 1 to 7/],
    [['up', '--wings'], 2, /unknown option/],
    [['up', '--webhook', 'http://a'], 2, /must be GROUP=URL/],
    [['up', '--webhook', 'shop=http://a.example'], 2, /webhooks\.shop: .*insecure: true/],
    [['toString'], 2, /unknown command/],
    [[], 2, /Usage: holdfast/],
    [['--help'], 0, /inspect/],
    [['serve', '--help'], 0, /--config/],
    [['cluster', 'init'], 2, /--config/],
    [['serve', '--set', 'nod=1'], 2, /did you mean node\?/],
  ] as const)('%j', async (args, code, text) => {
    const ended = await run(...args);
    expect(ended.text).toMatch(text);
    expect(ended.code).toBe(code);
  });

  it('an output that is closed early is no error', async () => {
    const child = spawn('bash', ['-c', `"${process.execPath}" "${HOLDFAST}" --help | true`]);
    const errors: Buffer[] = [];
    child.stderr.on('data', (chunk: Buffer) => errors.push(chunk));
    await new Promise((resolve) => child.once('close', resolve));
    expect(Buffer.concat(errors).toString()).toBe('');
  });
});

it('free ports are really asked for', async () => {
  const server = createServer();
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve);
  });
  const { port } = server.address() as AddressInfo;
  const base = port - 1;
  const data = join(temporaryDirectory(), 'd');
  const up = startUp('--nodes', '1', '--data', data, '--base-port', `${base}`);
  expect(await up.exit).toBe(1);
  expect(up.lines.join()).toContain(`port ${port} on 127.0.0.1 is taken`);
  server.close();
});
