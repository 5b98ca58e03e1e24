/**
 * The time by which messages grow old. A wall clock that is set ahead while the node runs must not
 * make everything too old at once (internals rule 10), and neither must entries of a leader whose
 * clock was: beyond a tolerance time passes only as the monotonic clock says.
 */
export const CLOCK_TOLERANCE_MS = 3_600_000;

export interface Clocks {
  readonly wallMs: () => number;
  readonly monotonicMs: () => number;
}

export class RetentionClock {
  readonly #clocks: Clocks;
  /** Wall time minus monotonic time when the node started. */
  readonly #originMs: number;

  constructor(clocks: Clocks) {
    this.#clocks = clocks;
    this.#originMs = clocks.wallMs() - clocks.monotonicMs();
  }

  /** `claimedMs`, unless it is further ahead than any honest correction of a clock. */
  nowMs(claimedMs: number): number {
    const latestMs = this.#originMs + this.#clocks.monotonicMs() + CLOCK_TOLERANCE_MS;
    return Math.min(claimedMs, latestMs);
  }
}
