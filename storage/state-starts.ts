/**
 * How often in a row a node has started and soon ended, not in order. LevelDB checks little of what
 * it reads: damage may trip an assertion of its own, which ends the process before anybody here
 * can learn why, and again at each start. After some such starts its files are not believed.
 */
import { readFileSync, rmSync, writeFileSync } from 'node:fs';

/** After so many the state is built again. */
export const SHORT_STARTS_MAX = 3;
/** Whoever ran for so long did not end over what it opened. */
export const LASTING_MS = 30_000;

export class StateStarts {
  readonly #file: string;
  #timer: NodeJS.Timeout | undefined;

  constructor(file: string) {
    this.#file = file;
  }

  /** Before the state is opened. True: do not believe what is there. */
  begin(lastingMs = LASTING_MS): boolean {
    const short = this.#read();
    const isLoop = short >= SHORT_STARTS_MAX;
    // Not synced: it is about processes that end, not about power cuts.
    writeFileSync(this.#file, `${isLoop ? 1 : short + 1}\n`);
    this.#timer = setTimeout(() => this.end(), lastingMs).unref();
    return isLoop;
  }

  /** It lasted, or ends in order. */
  end(): void {
    clearTimeout(this.#timer);
    rmSync(this.#file, { force: true });
  }

  /** What is no number was cut short: it counts as none. */
  #read(): number {
    try {
      const count = Number.parseInt(readFileSync(this.#file, 'utf8'), 10);
      return Number.isNaN(count) ? 0 : count;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return 0;
      throw error;
    }
  }
}
