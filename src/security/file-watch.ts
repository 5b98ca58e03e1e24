/**
 * Files that are replaced while the node runs. They are read again every few seconds and compared:
 * a watch would follow the old file where a directory of links is swapped under it.
 */
import { Failure } from '../failure.ts';

/** Several files are never replaced in one moment: a misfit is read once more. */
const LOOKS_BEFORE_COMPLAINT = 2;

export interface WatchedFiles {
  /** Reads them, and takes what is new in use. A `Failure`: what is in use stays so. */
  look(): Promise<void>;
  /** Said once for each problem, and again when it comes back. */
  complain(problem: string): void;
}

export class FileWatch {
  readonly #files: WatchedFiles;
  #timer: NodeJS.Timeout | undefined;
  #stopped = false;
  #problem = '';
  #looks = 0;

  constructor(files: WatchedFiles) {
    this.#files = files;
  }

  start(intervalMs: number): void {
    this.#timer = setTimeout(async () => {
      await this.poll();
      if (!this.#stopped) this.start(intervalMs);
    }, intervalMs).unref();
  }

  stop(): void {
    this.#stopped = true;
    clearTimeout(this.#timer);
  }

  /** One look at the files. */
  async poll(): Promise<void> {
    try {
      await this.#files.look();
      this.#problem = '';
    } catch (error) {
      if (!(error instanceof Failure)) throw error;
      this.#met(error.message);
    }
  }

  #met(problem: string): void {
    this.#looks = problem === this.#problem ? this.#looks + 1 : 1;
    this.#problem = problem;
    if (this.#looks === LOOKS_BEFORE_COMPLAINT) this.#files.complain(problem);
  }
}
