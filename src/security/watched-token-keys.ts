/**
 * The keys that tokens are verified with, read again every few seconds as certificates are: one
 * that is taken out of the files is worth nothing from then on, and neither is what it signed.
 */
import { FileWatch } from './file-watch.ts';
import { readTokenKeys, type TokenKeys } from './token-keys.ts';
import type { TlsLogger } from './watched-material.ts';

export class WatchedTokenKeys {
  readonly #files: readonly string[];
  readonly #logger: TlsLogger;
  readonly #listeners = new Set<() => void>();
  #current: TokenKeys;
  readonly #watch = new FileWatch({
    look: () => this.#look(),
    complain: (problem) => this.#complain(problem),
  });

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
    this.#watch.start(intervalMs);
  }

  stop(): void {
    this.#watch.stop();
  }

  poll(): Promise<void> {
    return this.#watch.poll();
  }

  async #look(): Promise<void> {
    this.#found(await readTokenKeys(this.#files));
  }

  #found(keys: TokenKeys): void {
    const isSame = keys.size === this.#current.size && [...keys.keys()].every(this.#isKnown);
    if (isSame) return;
    this.#current = keys;
    for (const listener of this.#listeners) listener();
    this.#logger.info(`auth: token keys in use from now on: ${[...keys.keys()].join(', ')}`);
  }

  readonly #isKnown = (id: string): boolean => this.#current.has(id);

  #complain(problem: string): void {
    const advice = 'correct it and it is read again within seconds';
    this.#logger.error(`auth: ${problem}. The token keys before stay in use; ${advice}`);
  }
}
