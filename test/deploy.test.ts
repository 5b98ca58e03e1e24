/** The three configurations of deploy/ as three processes, and what `serve` refuses. */
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { describe, expect, it, onTestFinished } from 'vitest';
import { agreedMembers } from '../src/cluster/birth.ts';
import { loadConfig } from '../src/config-sources.ts';
import { packageRoot } from '../src/package-root.ts';
import { freeBasePort, HOLDFAST, holdfast } from './e2e/cluster-process.ts';
import { temporaryDirectory } from './harness/temporary-directory.ts';

const NODES = [1, 2, 3];
const deployed = (node: number): string => join(packageRoot(), 'deploy', `node-${node}.yaml`);

interface Site {
  readonly root: string;
  readonly base: number;
  readonly files: readonly string[];
}

/** The files of deploy/ with other ports and directories. */
async function site(): Promise<Site> {
  const root = temporaryDirectory();
  const base = await freeBasePort(3);
  const files = NODES.map((node) => {
    const text = readFileSync(deployed(node), 'utf8')
      .replaceAll(/127\.0\.0\.1:7(\d)0(\d)/g, (_, kind: string, id: string) => {
        const port = base + 100 * (Number(kind) - 4) + Number(id);
        return `127.0.0.1:${port}`;
      })
      .replace('deploy/data', join(root, 'data'));
    const file = join(root, `node-${node}.yaml`);
    writeFileSync(file, text);
    return file;
  });
  return { root, base, files };
}

const initArguments = ({ files }: Site) => [
  'cluster',
  'init',
  ...files.flatMap((file) => ['--config', file]),
];

interface Served {
  readonly child: ChildProcess;
  readonly exit: Promise<number | null>;
  readonly errors: () => string;
}

function serve(file: string): Served {
  const child = spawn(process.execPath, [HOLDFAST, 'serve', '--config', file], {
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let text = '';
  child.stderr?.on('data', (chunk: Buffer) => {
    text += chunk.toString();
  });
  const exit = new Promise<number | null>((resolve) => child.once('close', resolve));
  onTestFinished(async () => {
    child.kill('SIGTERM');
    await exit;
  });
  return { child, exit, errors: () => text };
}

async function serving({ child, exit, errors }: Served): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    createInterface({ input: child.stdout! }).on('line', (line) => {
      if (line.includes('"serving"')) resolve();
    });
    void exit.then((code) => reject(new Error(`ended with ${code}: ${errors()}`)));
  });
}

/** Exit code and the one line. */
async function refusal(served: Served): Promise<string> {
  const code = await served.exit;
  const [line, ...more] = served.errors().trimEnd().split('\n');
  expect(more).toEqual([]);
  return `${code} ${line}`;
}

describe('deploy/', () => {
  it('the files fit together as they are', () => {
    const configs = NODES.map((node) => loadConfig({ file: deployed(node) }));
    expect(agreedMembers(configs)).toEqual(NODES);
  });

  it('three processes, born once, serve together', { timeout: 120_000 }, async () => {
    const three = await site();
    expect(await holdfast(...initArguments(three))).toContain('of 3 nodes is born');
    const nodes = three.files.map(serve);
    await Promise.all(nodes.map(serving));
    const server = ['--server', `127.0.0.1:${three.base + 2}`];
    await holdfast('topic', 'create', 'orders', ...server);
    const lines = join(three.root, 'lines.txt');
    writeFileSync(lines, 'one\ntwo\n');
    await holdfast('produce', 'orders', '--file', lines, '--queue', '1', ...server);
    expect(await holdfast('consume', 'orders', ...server)).toBe('one\ntwo\n');

    // The same directory again, while its owner lives.
    const twin = join(three.root, 'twin.yaml');
    const text = readFileSync(three.files[0]!, 'utf8');
    const elsewhere = await freeBasePort(3);
    writeFileSync(
      twin,
      text
        .replace(`grpc: 127.0.0.1:${three.base + 1}`, `grpc: 127.0.0.1:${elsewhere + 1}`)
        .replace(`peer: 127.0.0.1:${three.base + 101}`, `peer: 127.0.0.1:${elsewhere + 101}`)
        .replace(`http: 127.0.0.1:${three.base + 201}`, `http: 127.0.0.1:${elsewhere + 201}`),
    );
    expect(await refusal(serve(twin))).toMatch(new RegExp(`^1 .*\\b${nodes[0]!.child.pid}\\b`));

    for (const { child } of nodes) child.kill('SIGTERM');
    expect(await Promise.all(nodes.map(({ exit }) => exit))).toEqual([0, 0, 0]);
  });

  it('what serve refuses, each in one line', { timeout: 60_000 }, async () => {
    const three = await site();
    const [one, two] = three.files as [string, string];
    expect(await refusal(serve(one))).toMatch(/^1 holdfast: node 1: .*is empty.*cluster init/);
    await holdfast(...initArguments(three));
    writeFileSync(
      one,
      readFileSync(one, 'utf8').replace('node: 1', 'node: 2').replace('  2:', '  1:'),
    );
    expect(await refusal(serve(one))).toMatch(/^1 holdfast: .*belongs to node 1/);
    writeFileSync(one, 'nod: 1\n');
    expect(await refusal(serve(one))).toMatch(/^2 holdfast: .*did you mean node\?/);
    const data = join(three.root, 'data', 'node-2');
    rmSync(data, { recursive: true });
    mkdirSync(data);
    expect(await refusal(serve(two))).toMatch(/^1 holdfast: node 2: .*is empty/);
  });
});
