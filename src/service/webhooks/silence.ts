/** Questions to one webhook without an answer, one after the other, and when to say so again. */

const FIRST_PAUSE_MS = 60_000;
const MAX_PAUSE_MS = 3_600_000;

export interface SilenceSoFar {
  readonly failures: number;
  readonly seconds: number;
}

export class Silence {
  #failures = 0;
  #sinceMs = 0;
  #tellAtMs = 0;
  #pauseMs = FIRST_PAUSE_MS;

  /** Another one. Undefined: that was said not long ago. */
  failed(nowMs: number): SilenceSoFar | undefined {
    if (this.#failures === 0) {
      this.#sinceMs = nowMs;
      this.#tellAtMs = nowMs;
      this.#pauseMs = FIRST_PAUSE_MS;
    }
    this.#failures += 1;
    if (nowMs < this.#tellAtMs) return undefined;
    this.#tellAtMs = nowMs + this.#pauseMs;
    this.#pauseMs = Math.min(2 * this.#pauseMs, MAX_PAUSE_MS);
    const seconds = Math.round((nowMs - this.#sinceMs) / 1000);
    return { failures: this.#failures, seconds };
  }

  /** There was an answer; how many there were without. */
  over(): number {
    const failures = this.#failures;
    this.#failures = 0;
    return failures;
  }
}
