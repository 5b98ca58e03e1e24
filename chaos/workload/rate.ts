/** The load that a run aims at, shared by all that write: without it they take every processor. */

/** For a second in so many there is three times the load. */
const BURST_EVERY_MS = 10_000;
const BURST_MS = 1000;
const BURST_FACTOR = 3;

export class Rate {
  readonly #perSecond: number;
  #nextMs = 0;

  /** Write requests; 0 = as many as there is time for. */
  constructor(perSecond: number) {
    this.#perSecond = perSecond === 0 ? Number.POSITIVE_INFINITY : perSecond;
  }

  /**
   * How long to wait before so many more. Time that nobody used is gone: a cluster that comes back
   * is not met by all that was not sent meanwhile.
   */
  waitMs(requests: number, nowMs: number): number {
    const isBurst = nowMs % BURST_EVERY_MS < BURST_MS;
    const perSecond = this.#perSecond * (isBurst ? BURST_FACTOR : 1);
    const startMs = Math.max(nowMs, this.#nextMs);
    this.#nextMs = startMs + (1000 * requests) / perSecond;
    return startMs - nowMs;
  }
}
