/**
 * Certificates that are replaced while the node runs. The files are read again every few seconds
 * and compared: a watch would follow the old file where a directory of links is swapped under it.
 */
import { oneLine } from '../failure.ts';
import { readTlsMaterial, type TlsFiles, type TlsMaterial } from './tls-material.ts';

export interface TlsLogger {
  info(message: string): void;
  error(message: string): void;
}

const DAY_MS = 86_400_000;
/** Told of daily from then on. */
const REMINDED_BEFORE_MS = 14 * DAY_MS;
/** Certificate and key are two files, never replaced in one moment: a misfit is read once more. */
const POLLS_BEFORE_COMPLAINT = 2;

export class WatchedMaterial {
  readonly #port: string;
  readonly #files: TlsFiles;
  readonly #logger: TlsLogger;
  readonly #nowMs: () => number;
  readonly #listeners = new Set<(material: TlsMaterial) => void>();
  #current: TlsMaterial;
  #timer: NodeJS.Timeout | undefined;
  #problem = '';
  #problemPolls = 0;
  #remindedAtMs = Number.NEGATIVE_INFINITY;

  /** Throws a `Failure` if what is there now cannot be used. `port` is for the log. */
  constructor(port: string, files: TlsFiles, logger: TlsLogger, nowMs: () => number) {
    this.#port = port;
    this.#files = files;
    this.#logger = logger;
    this.#nowMs = nowMs;
    this.#current = readTlsMaterial(files, nowMs());
    this.#remind();
  }

  get current(): TlsMaterial {
    return this.#current;
  }

  onChange(listener: (material: TlsMaterial) => void): void {
    this.#listeners.add(listener);
  }

  start(intervalMs: number): void {
    this.#timer = setInterval(() => this.poll(), intervalMs).unref();
  }

  stop(): void {
    clearInterval(this.#timer);
  }

  /** One look at the files. What cannot be used leaves what is in use as it is. */
  poll(): void {
    this.#look();
    this.#remind();
  }

  #look(): void {
    let found: TlsMaterial;
    try {
      found = readTlsMaterial(this.#files, this.#nowMs());
    } catch (error) {
      this.#complain(oneLine(error));
      return;
    }
    this.#problem = '';
    if (same(found, this.#current)) return;
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
    this.#logger.error(
      `${this.#port}: the certificate in use ${when} at ${until}; put a new one at ` +
        `${this.#files.cert} (and its key at ${this.#files.key})`,
    );
  }

  /** Once for each problem, and again when it comes back. */
  #complain(problem: string): void {
    this.#problemPolls = problem === this.#problem ? this.#problemPolls + 1 : 1;
    this.#problem = problem;
    if (this.#problemPolls !== POLLS_BEFORE_COMPLAINT) return;
    const until = this.#current.validTo.toISOString();
    this.#logger.error(
      `${this.#port}: ${problem}. The certificate that was read before stays in use (until ` +
        `${until}); correct the file and it is read again within seconds`,
    );
  }
}

function same(one: TlsMaterial, other: TlsMaterial): boolean {
  if (!one.cert.equals(other.cert) || !one.key.equals(other.key)) return false;
  if (one.ca === undefined || other.ca === undefined) return one.ca === other.ca;
  return one.ca.equals(other.ca);
}
