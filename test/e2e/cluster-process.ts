/** A cluster as a user starts it: `holdfast up` in a process of its own, on free ports. */
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { packageRoot } from '../../src/package-root.ts';

const run = promisify(execFile);
const PORTS_BELOW = 30_000;
const PORTS_FROM = 21_000;

export interface ClusterStatus {
  readonly nodes: readonly { id: number; address: string; pid: number; up: boolean }[];
  readonly shards: readonly {
    id: number;
    leader: number;
    term: number;
    commit_index: number;
    applied_index: number;
  }[];
}

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', () => resolve(false));
    server.listen(port, '127.0.0.1', () => server.close(() => resolve(true)));
  });
}

/** A base port such that the ports of all nodes look free right now. */
export async function freeBasePort(nodes: number): Promise<number> {
  for (let attempt = 0; attempt < 100; attempt++) {
    const base = PORTS_FROM + Math.floor((Math.random() * (PORTS_BELOW - PORTS_FROM)) / 10) * 10;
    const ports = Array.from({ length: nodes }, (_, i) => [base + i + 1, base + i + 101]).flat();
    if ((await Promise.all(ports.map(isFree))).every(Boolean)) return base;
  }
  throw new Error('found no free ports');
}

export const HOLDFAST = join(packageRoot(), 'dist/src/bin.cjs');

/** Runs one command to its end. */
export async function holdfast(...args: string[]): Promise<string> {
  const { stdout } = await run(process.execPath, [HOLDFAST, ...args], {
    maxBuffer: 64 * 1024 * 1024,
  });
  return stdout;
}

export class ClusterProcess {
  readonly servers: readonly string[];
  readonly #child: ChildProcess;
  readonly #exit: Promise<number | null>;

  private constructor(servers: readonly string[], child: ChildProcess) {
    this.servers = servers;
    this.#child = child;
    this.#exit = new Promise((resolve) => child.once('exit', resolve));
  }

  static async start(
    data: string,
    nodes = 3,
    env: Readonly<Record<string, string>> = {},
  ): Promise<ClusterProcess> {
    if (!existsSync(HOLDFAST)) throw new Error(`${HOLDFAST} is missing: run npm run build`);
    const base = await freeBasePort(nodes);
    const args = ['up', '--nodes', `${nodes}`, '--data', data, '--base-port', `${base}`];
    const child = spawn(process.execPath, [HOLDFAST, ...args], {
      stdio: ['ignore', 'pipe', 'inherit'],
      env: { ...process.env, ...env },
    });
    const servers = Array.from({ length: nodes }, (_, i) => `127.0.0.1:${base + i + 1}`);
    const cluster = new ClusterProcess(servers, child);
    await cluster.#ready();
    return cluster;
  }

  get pid(): number {
    return this.#child.pid as number;
  }

  #ready(): Promise<void> {
    return new Promise((resolve, reject) => {
      let text = '';
      this.#child.stdout?.on('data', (chunk: Buffer) => {
        text += chunk.toString();
        if (/^ready$/m.test(text)) resolve();
      });
      this.#exit.then((code) => reject(new Error(`holdfast up ended with ${code}:\n${text}`)));
    });
  }

  async status(): Promise<ClusterStatus> {
    const args = ['cluster', 'status', '--json', '--server', this.servers.join(',')];
    return JSON.parse(await holdfast(...args)) as ClusterStatus;
  }

  /** SIGTERM, as Ctrl-C does; answers the exit code. */
  async stop(): Promise<number | null> {
    this.#child.kill('SIGTERM');
    return this.#exit;
  }
}
