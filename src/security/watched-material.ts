/** Certificates that are replaced while the node runs, and a word before they expire. */
import { FileWatch } from './file-watch.ts';
import { readTlsMaterial, type TlsFiles, type TlsMaterial } from './tls-material.ts';

export interface TlsLogger {
  info(message: string): void;
  error(message: string): void;
}

const DAY_MS = 86_400_000;
/** Told of daily from then on. */
const REMINDED_BEFORE_MS = 14 * DAY_MS;

export class WatchedMaterial {
  readonly #port: string;
  readonly #files: TlsFiles;
  readonly #logger: TlsLogger;
  readonly #nowMs: () => number;
  readonly #listeners = new Set<(material: TlsMaterial) => void>();
  #current: TlsMaterial;
  readonly #watch = new FileWatch({
    look: () => this.#look(),
    complain: (problem) => this.#complain(problem),
  });
  #remindedAtMs = Number.NEGATIVE_INFINITY;

  private constructor(
    port: string,
    files: TlsFiles,
    logger: TlsLogger,
    nowMs: () => number,
    first: TlsMaterial,
  ) {
    this.#port = port;
    this.#files = files;
    this.#logger = logger;
    this.#nowMs = nowMs;
    this.#current = first;
    this.#remind();
  }

  /** Rejects with a `Failure` if what is there now cannot be used. `port` is for the log. */
  static async open(
    port: string,
    files: TlsFiles,
    logger: TlsLogger,
    nowMs: () => number,
  ): Promise<WatchedMaterial> {
    const first = await readTlsMaterial(files, nowMs());
    return new WatchedMaterial(port, files, logger, nowMs, first);
  }

  get current(): TlsMaterial {
    return this.#current;
  }

  onChange(listener: (material: TlsMaterial) => void): void {
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
    try {
      this.#found(await readTlsMaterial(this.#files, this.#nowMs(), this.#current));
    } finally {
      this.#remind();
    }
  }

  #found(found: TlsMaterial): void {
    if (found === this.#current) return;
    this.#current = found;
    for (const listener of this.#listeners) listener(found);
    const until = found.validTo.toISOString();
    this.#logger.info(`${this.#port}: new certificates are in use, valid until ${until}`);
  }

  #remind(): void {
    const nowMs = this.#nowMs();
    const leftMs = this.#current.validTo.getTime() - nowMs;
    if (leftMs > REMINDED_BEFORE_MS || nowMs - this.#remindedAtMs < DAY_MS) return;
    this.#remindedAtMs = nowMs;
    const until = this.#current.validTo.toISOString();
    const when = leftMs > 0 ? 'expires' : 'expired';
    const advice = `put a new one at ${this.#files.cert} (and its key at ${this.#files.key})`;
    this.#logger.error(`${this.#port}: the certificate in use ${when} at ${until}; ${advice}`);
  }

  #complain(problem: string): void {
    const until = this.#current.validTo.toISOString();
    const kept = `(until ${until}); correct the file and it is read again within seconds`;
    this.#logger.error(`${this.#port}: ${problem}. The certificate before stays in use ${kept}`);
  }
}
