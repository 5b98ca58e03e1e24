/**
 * A cluster as a user starts it: `holdfast up` in a process of its own, on free ports. It is on a
 * leash: however this process ends, the cluster ends too.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { createWriteStream, existsSync } from 'node:fs';
import { join } from 'node:path';
import { freeBasePort } from './free-ports.ts';
import { packageFolder } from './package-folder.ts';

const READY_TIMEOUT_MS = 120_000;

export interface UpOptions {
  readonly data: string;
  readonly nodes?: number;
  /** key=value pairs for every node. */
  readonly settings?: readonly string[];
  /** Encrypted, and asks who calls: `up --tls --auth`. */
  readonly closed?: boolean;
  readonly environment?: Readonly<Record<string, string>>;
  /** Gets what the command says; without it only the errors are seen, on our own stderr. */
  readonly logFile?: string;
}

/** The command as it was built. */
export const HOLDFAST = join(packageFolder(), 'dist', 'src', 'bin.cjs');

export class UpProcess {
  /** One address per node, in their order. */
  readonly servers: readonly string[];
  readonly #child: ChildProcess;
  readonly #exit: Promise<number | null>;
  #ended = false;

  private constructor(servers: readonly string[], child: ChildProcess) {
    this.servers = servers;
    this.#child = child;
    this.#exit = new Promise((resolve) => {
      child.once('error', () => resolve(null));
      // `close`, not `exit`: only then all that it said has been read.
      child.once('close', resolve);
    });
    void this.#exit.then(() => {
      this.#ended = true;
    });
    // The leash: a cluster that ended by itself let go of it.
    child.stdin?.on('error', () => undefined);
  }

  /** Resolves at the line `ready`. */
  static async start(options: UpOptions): Promise<UpProcess> {
    if (!existsSync(HOLDFAST)) throw new Error(`${HOLDFAST} is missing: run npm run build`);
    const { data, nodes = 3, settings = [], closed = false, environment, logFile } = options;
    const base = await freeBasePort(nodes);
    const args = ['up', '--leash', '--nodes', `${nodes}`, '--data', data];
    if (closed) args.push('--tls', '--auth');
    args.push('--base-port', `${base}`, ...settings.flatMap((setting) => ['--set', setting]));
    const child = spawn(process.execPath, [HOLDFAST, ...args], {
      stdio: ['pipe', 'pipe', logFile === undefined ? 'inherit' : 'pipe'],
      env: { ...process.env, ...environment },
    });
    const servers = Array.from({ length: nodes }, (_, i) => `127.0.0.1:${base + i + 1}`);
    const up = new UpProcess(servers, child);
    try {
      await up.#ready(logFile);
    } catch (error) {
      await up.stop();
      throw error;
    }
    return up;
  }

  get pid(): number {
    return this.#child.pid as number;
  }

  get ended(): boolean {
    return this.#ended;
  }

  /** SIGTERM, as an operator would; answers the exit code when `up` and every node are gone. */
  stop(): Promise<number | null> {
    if (!this.#ended) this.#child.kill('SIGTERM');
    return this.#exit;
  }

  async #ready(logFile: string | undefined): Promise<void> {
    const { stderr, stdout } = this.#child;
    const log = logFile === undefined ? undefined : createWriteStream(logFile);
    if (log !== undefined) stderr?.pipe(log, { end: false });
    let said = '';
    await new Promise<void>((resolve, reject) => {
      const fail = (why: string) => reject(new Error(`holdfast up: ${why}\n${said}`));
      const timer = setTimeout(() => fail('no line "ready" in time'), READY_TIMEOUT_MS);
      stdout?.on('data', (chunk: Buffer) => {
        log?.write(chunk);
        if (said.length < 65_536) said += chunk.toString();
        if (!/^ready$/m.test(said)) return;
        clearTimeout(timer);
        resolve();
      });
      void this.#exit.then((code) => {
        clearTimeout(timer);
        log?.end();
        fail(`ended with exit code ${code}`);
      });
    });
  }
}
