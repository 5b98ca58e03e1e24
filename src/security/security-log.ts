/**
 * What is logged about who may not do what, and who changes the cluster. Whoever knocks on the door
 * again and again must not fill the disk: lines of a window are bounded, the rest is counted.
 */
import type { CallError } from '../status.ts';

export interface SecurityLogger {
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
}

export interface SecurityEvent {
  /** '' = nobody proved who it is. */
  readonly principal: string;
  readonly source: string;
  readonly call: string;
}

const WINDOW_MS = 10_000;
export const LINES_PER_WINDOW = 20;

export class SecurityLog {
  readonly #logger: SecurityLogger;
  readonly #nowMs: () => number;
  #windowEndsAtMs = 0;
  #lines = 0;
  #skipped = 0;

  constructor(logger: SecurityLogger, nowMs: () => number) {
    this.#logger = logger;
    this.#nowMs = nowMs;
  }

  /** Reason and not text: a text may hold what a stranger sent. */
  refused(event: SecurityEvent, error: CallError): void {
    if (!this.#mayLog()) return;
    this.#logger.warn({ ...event, reason: error.reason }, 'security: a call was refused');
  }

  /** Before any call. The code of an error and not its text, for the same reason. */
  turnedAway(source: string, reason: string): void {
    if (!this.#mayLog()) return;
    this.#logger.warn({ source, reason }, 'security: a connection was refused');
  }

  /** Of those who may: they are few. */
  changed(event: SecurityEvent): void {
    this.#logger.info({ ...event }, 'security: the cluster is changed');
  }

  #mayLog(): boolean {
    const nowMs = this.#nowMs();
    if (nowMs >= this.#windowEndsAtMs) {
      if (this.#skipped > 0) {
        this.#logger.warn({ calls: this.#skipped }, 'security: more calls were refused');
      }
      this.#windowEndsAtMs = nowMs + WINDOW_MS;
      this.#lines = 0;
      this.#skipped = 0;
    }
    this.#lines += 1;
    if (this.#lines > LINES_PER_WINDOW) this.#skipped += 1;
    return this.#lines <= LINES_PER_WINDOW;
  }
}
