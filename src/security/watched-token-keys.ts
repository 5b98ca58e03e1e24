/**
 * The keys that tokens are verified with, read again every few seconds as certificates are: one
 * that is taken out of the files is worth nothing from then on, and neither is what it signed.
 */
import { Failure } from '../failure.ts';
import { readTokenKeys, type TokenKeys } from './token-keys.ts';
import type { TlsLogger } from './watched-material.ts';

/** Files are never replaced in one moment: a misfit is read once more. */
const POLLS_BEFORE_COMPLAINT = 2;

export class WatchedTokenKeys {
  readonly #files: readonly string[];
  readonly #logger: TlsLogger;
  readonly #listeners = new Set<() => void>();
  #current: TokenKeys;
  #timer: NodeJS.Timeout | undefined;
  #stopped = false;
  #problem = '';
  #problemPolls = 0;

  private constructor(files: readonly string[], logger: TlsLogger, first: TokenKeys) {
    this.#files = files;
    this.#logger = logger;
    this.#current = first;
  }

  /** Rejects with a `Failure` if what is there now cannot be used. */
  static async open(files: readonly string[], logger: TlsLogger): Promise<WatchedTokenKeys> {
    return new WatchedTokenKeys(files, logger, await readTokenKeys(files));
  }

  get current(): TokenKeys {
    return this.#current;
  }

  onChange(listener: () => void): void {
    this.#listeners.add(listener);
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

  /** One look at the files. What cannot be read leaves what is in use as it is. */
  async poll(): Promise<void> {
    try {
      this.#found(await readTokenKeys(this.#files));
    } catch (error) {
      if (!(error instanceof Failure)) throw error;
      this.#complain(error.message);
    }
  }

  #found(keys: TokenKeys): void {
    this.#problem = '';
    const isSame = keys.size === this.#current.size && [...keys.keys()].every(this.#isKnown);
    if (isSame) return;
    this.#current = keys;
    for (const listener of this.#listeners) listener();
    this.#logger.info(`auth: token keys in use from now on: ${[...keys.keys()].join(', ')}`);
  }

  readonly #isKnown = (id: string): boolean => this.#current.has(id);

  /** Once for each problem, and again when it comes back. */
  #complain(problem: string): void {
    this.#problemPolls = problem === this.#problem ? this.#problemPolls + 1 : 1;
    this.#problem = problem;
    if (this.#problemPolls !== POLLS_BEFORE_COMPLAINT) return;
    const advice = 'correct it and it is read again within seconds';
    this.#logger.error(`auth: ${problem}. The token keys before stay in use; ${advice}`);
  }
}
