/**
 * The same files for code full of promises: whoever waits runs on before the next event. What is
 * left of a process that crashed may still come to its next operation, which never ends.
 */
import type { Done, DoneWith, Files, Handle, OpenMode } from '../../storage/files.ts';
import type { Scheduler } from './scheduler.ts';

export class AwaitedFiles implements Files {
  readonly #files: Files;
  readonly #scheduler: Scheduler;
  readonly #isAlive: () => boolean;

  constructor(files: Files, scheduler: Scheduler, isAlive: () => boolean = () => true) {
    this.#files = files;
    this.#scheduler = scheduler;
    this.#isAlive = isAlive;
  }

  #after<Rest extends unknown[]>(done: (...result: Rest) => void): (...result: Rest) => void {
    return (...result) => {
      this.#scheduler.promised();
      done(...result);
    };
  }

  makeDirectory(directory: string, done: Done): void {
    if (this.#isAlive()) this.#files.makeDirectory(directory, this.#after(done));
  }

  list(directory: string, done: DoneWith<readonly string[]>): void {
    if (this.#isAlive()) this.#files.list(directory, this.#after(done));
  }

  open(file: string, mode: OpenMode, done: DoneWith<Handle>): void {
    if (this.#isAlive()) this.#files.open(file, mode, this.#after(done));
  }

  close(handle: Handle, done: Done): void {
    if (this.#isAlive()) this.#files.close(handle, this.#after(done));
  }

  size(handle: Handle, done: DoneWith<number>): void {
    if (this.#isAlive()) this.#files.size(handle, this.#after(done));
  }

  read(handle: Handle, target: Uint8Array, position: number, done: DoneWith<number>): void {
    if (this.#isAlive()) this.#files.read(handle, target, position, this.#after(done));
  }

  write(
    handle: Handle,
    parts: readonly Uint8Array[],
    position: number,
    done: DoneWith<number>,
  ): void {
    if (this.#isAlive()) this.#files.write(handle, parts, position, this.#after(done));
  }

  datasync(handle: Handle, done: Done): void {
    if (this.#isAlive()) this.#files.datasync(handle, this.#after(done));
  }

  rename(from: string, to: string, done: Done): void {
    if (this.#isAlive()) this.#files.rename(from, to, this.#after(done));
  }

  unlink(file: string, done: Done): void {
    if (this.#isAlive()) this.#files.unlink(file, this.#after(done));
  }

  syncDirectory(directory: string, done: Done): void {
    if (this.#isAlive()) this.#files.syncDirectory(directory, this.#after(done));
  }
}
