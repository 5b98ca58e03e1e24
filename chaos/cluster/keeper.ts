/**
 * The leash: a shell that outlives us by one end of file and kills what we started. A node that is
 * stopped (SIGSTOP) cannot notice by itself that its parent is gone, and a proxy does not care.
 */
import { type ChildProcess, spawn } from 'node:child_process';

const SCRIPT = [
  'trap "" INT TERM HUP',
  'pids=',
  'while read -r line; do pids=$line; done',
  'for pid in $pids; do kill -KILL "$pid"; done',
].join('\n');

export class Keeper {
  readonly #shell: ChildProcess;
  readonly #pids = new Set<number>();

  constructor() {
    // A group of its own: what the terminal sends to us is not for it.
    this.#shell = spawn('/bin/sh', ['-c', SCRIPT], {
      stdio: ['pipe', 'ignore', 'ignore'],
      detached: true,
    });
    this.#shell.stdin?.on('error', () => undefined);
  }

  hold(pid: number): void {
    this.#pids.add(pid);
    this.#tell();
  }

  release(pid: number): void {
    this.#pids.delete(pid);
    this.#tell();
  }

  /** What is still held ends with it. */
  close(): void {
    this.#shell.stdin?.end();
  }

  #tell(): void {
    this.#shell.stdin?.write(`${[...this.#pids].join(' ')}\n`);
  }
}
