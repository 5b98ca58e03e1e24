/** One `holdfast serve`: started, killed, stopped, continued and started again at our will. */
import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, fstatSync, openSync, readFileSync } from 'node:fs';
import { HOLDFAST } from '../../test/processes/up-process.ts';
import type { Keeper } from './keeper.ts';

const LAST_WORDS_CHARACTERS = 600;
/** What a node says that ends over damaged bytes, or LevelDB, before the node can say a word. */
const DAMAGE_WORDS = /DATA_LOSS|leveldb.*Assertion/;

export interface NodeFiles {
  readonly config: string;
  readonly log: string;
  /** Its data directory. */
  readonly data: string;
}

interface Running {
  readonly child: ChildProcess;
  readonly gone: Promise<void>;
}

export class NodeProcess {
  readonly node: number;
  readonly files: NodeFiles;
  /** Of its next start; such as a library to be loaded before all others. */
  environment: Readonly<Record<string, string>> = {};
  /** key=value pairs over its configuration, of its next start. */
  settings: readonly string[] = [];
  /** What runs; `holdfast` as it was built, unless another build is tried. */
  binary = HOLDFAST;
  /** A fault is on under which a node has to end by itself. */
  mayEnd = false;
  /** Its bytes were damaged: if it ends over that at any time, it starts again at once. */
  mayMeetDamage = false;
  /** It ended by itself, and nothing expected it to. */
  onLost: (text: string) => void = () => undefined;
  readonly #keeper: Keeper;
  #running: Running | undefined;
  #endedByUs = false;
  #logFrom = 0;

  constructor(node: number, files: NodeFiles, keeper: Keeper) {
    this.node = node;
    this.files = files;
    this.#keeper = keeper;
  }

  get isRunning(): boolean {
    return this.#running !== undefined;
  }

  /** 0 when it does not run. */
  get pid(): number {
    return this.#running?.child.pid ?? 0;
  }

  /** Nothing happens when it runs already. */
  start(): void {
    if (this.#running !== undefined) return;
    const flags = this.settings.flatMap((setting) => ['--set', setting]);
    const log = openSync(this.files.log, 'a');
    this.#logFrom = fstatSync(log).size;
    const args = [this.binary, 'serve', '--config', this.files.config, ...flags];
    const child = spawn(process.execPath, args, {
      // Its own group: Ctrl-C is meant for us, and we end it in order.
      ...{ stdio: ['ignore', log, log], detached: true },
      env: { ...ownEnvironment(), ...this.environment },
    });
    closeSync(log);
    const gone = new Promise<void>((resolve) => {
      child.once('error', () => resolve());
      child.once('exit', () => resolve());
    });
    this.#endedByUs = false;
    this.#running = { child, gone };
    const { pid } = child;
    if (pid !== undefined) this.#keeper.hold(pid);
    void gone.then(() => this.#ended(child));
  }

  /** Resolves when it is gone; false: there was nothing to kill. */
  async kill(): Promise<boolean> {
    return this.#end('SIGKILL');
  }

  /** As an operator does it; a node that is paused has to go on to hear it. */
  async stop(): Promise<boolean> {
    this.resume();
    return this.#end('SIGTERM');
  }

  /** False: it does not run, or did not stop. */
  pause(): boolean {
    return this.signal('SIGSTOP');
  }

  /** False: nobody is there to get it. */
  signal(signal: NodeJS.Signals): boolean {
    return this.#running?.child.kill(signal) ?? false;
  }

  resume(): void {
    this.signal('SIGCONT');
  }

  /** Resolves when it has ended, by whatever reason; at once when it does not run. */
  async gone(): Promise<void> {
    await this.#running?.gone;
  }

  async #end(signal: NodeJS.Signals): Promise<boolean> {
    const running = this.#running;
    if (running === undefined) return false;
    this.#endedByUs = true;
    running.child.kill(signal);
    await running.gone;
    return true;
  }

  #ended({ pid, exitCode, signalCode }: ChildProcess): void {
    if (pid !== undefined) this.#keeper.release(pid);
    this.#running = undefined;
    if (this.#endedByUs || this.mayEnd) return;
    if (this.mayMeetDamage && this.spokeOfDamage()) {
      this.start();
      return;
    }
    const how = signalCode ?? `exit code ${exitCode}`;
    this.onLost(`node ${this.node} ended by itself with ${how}: ${this.lastWords()}`);
  }

  /** Since its last start. */
  spokeOfDamage(): boolean {
    return DAMAGE_WORDS.test(readFileSync(this.files.log).subarray(this.#logFrom).toString());
  }

  /** The end of its log. */
  lastWords(): string {
    return readFileSync(this.files.log, 'utf8').slice(-LAST_WORDS_CHARACTERS).trim();
  }
}

/** Without what would configure every node alike. */
function ownEnvironment(): NodeJS.ProcessEnv {
  const entries = Object.entries(process.env).filter(([name]) => !name.startsWith('HOLDFAST_'));
  return Object.fromEntries(entries);
}
