/** A cluster as an operator runs it: three configurations, `cluster init`, three times `serve`. */
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { packageRoot } from '../../src/package-root.ts';
import { freeBasePort, HOLDFAST } from './cluster-process.ts';

const run = promisify(execFile);

/** What a `serve` that ended has said and answered. */
export interface Ended {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stderr: string;
}

export class ServeProcess {
  readonly ended: Promise<Ended>;
  readonly #child: ChildProcess;
  #stderr = '';

  /** `wrapper`: a command that runs `serve` somewhere else, such as in another namespace. */
  constructor(
    configFile: string,
    wrapper: readonly string[] = [],
    settings: readonly string[] = [],
    bin = HOLDFAST,
  ) {
    const flags = settings.flatMap((setting) => ['--set', setting]);
    const serve = [process.execPath, bin, 'serve', '--config', configFile, ...flags];
    const [command = '', ...args] = [...wrapper, ...serve];
    // The channel is a leash: a node ends when the process at its other end does.
    this.#child = spawn(command, args, { stdio: ['ignore', 'pipe', 'pipe', 'ipc'] });
    this.#child.stdout?.resume();
    this.#child.stderr?.on('data', (chunk: Buffer) => {
      this.#stderr += chunk.toString();
    });
    this.ended = new Promise((resolve) => {
      this.#child.once('close', (code, signal) => resolve({ code, signal, stderr: this.#stderr }));
    });
  }

  get pid(): number {
    return this.#child.pid ?? 0;
  }

  /** Resolves when the node serves; rejects with its last words when it ends instead. */
  serving(): Promise<this> {
    return new Promise((resolve, reject) => {
      let text = '';
      this.#child.stdout?.on('data', (chunk: Buffer) => {
        text += chunk.toString();
        if (text.includes('"msg":"serving"')) resolve(this);
      });
      void this.ended.then(({ stderr }) => reject(new Error(stderr)));
    });
  }

  async kill(signal: NodeJS.Signals = 'SIGKILL'): Promise<Ended> {
    this.#child.kill(signal);
    return this.ended;
  }
}

export class ThreeNodes {
  readonly servers: readonly string[];
  readonly configFiles: readonly string[];
  readonly directories: readonly string[];
  readonly peerPorts: readonly number[];

  private constructor(root: string, base: number) {
    const nodes = [1, 2, 3];
    this.servers = nodes.map((node) => `127.0.0.1:${base + node}`);
    this.peerPorts = nodes.map((node) => base + 100 + node);
    this.directories = nodes.map((node) => join(root, `data/node-${node}`));
    this.configFiles = nodes.map((node) => join(root, `node-${node}.yaml`));
  }

  /** Born, not started. */
  static async init(root: string, more = '', bin = HOLDFAST): Promise<ThreeNodes> {
    const cluster = await ThreeNodes.configured(root, more);
    const configs = cluster.configFiles.flatMap((file) => ['--config', file]);
    await run(process.execPath, [bin, 'cluster', 'init', ...configs]);
    return cluster;
  }

  /** By the files in `deploy/`, on free ports and with data under `root`; not born. */
  static async configured(root: string, more = ''): Promise<ThreeNodes> {
    const base = await freeBasePort(3);
    const cluster = new ThreeNodes(root, base);
    mkdirSync(root, { recursive: true });
    cluster.configFiles.forEach((file, at) => {
      const text = readFileSync(join(packageRoot(), `deploy/node-${at + 1}.yaml`), 'utf8')
        .replaceAll(/127\.0\.0\.1:7(\d)0(\d)/g, (_, hundred: string, node: string) => {
          return `127.0.0.1:${base + 100 * (Number(hundred) - 4) + Number(node)}`;
        })
        .replace('deploy/data', join(root, 'data'));
      writeFileSync(file, `${text}\n${more}`);
    });
    return cluster;
  }

  launch(node: number, ...settings: readonly string[]): ServeProcess {
    return new ServeProcess(this.configFiles[node - 1] as string, [], settings);
  }

  /** As another build. */
  launchWith(bin: string, node: number): ServeProcess {
    return new ServeProcess(this.configFiles[node - 1] as string, [], [], bin);
  }
}
