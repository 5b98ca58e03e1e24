/** The longest time without an acknowledgement around each kill, queue by queue. */

interface Kill {
  readonly atMs: number;
  readonly queues: readonly number[];
  longestGapMs: number;
}

export class GapMeter {
  readonly #lastAckMs: number[] = [];
  readonly #kills: Kill[] = [];
  readonly #watchMs: number;

  /** A gap counts for a kill when it ends within `watchMs` of it or spans it. */
  constructor(watchMs: number) {
    this.#watchMs = watchMs;
  }

  ack(queue: number): void {
    const now = performance.now();
    const last = this.#lastAckMs[queue] ?? now;
    this.#lastAckMs[queue] = now;
    const gap = now - last;
    for (const kill of this.#kills) {
      if (now < kill.atMs || last > kill.atMs + this.#watchMs) continue;
      if (!kill.queues.includes(queue)) continue;
      kill.longestGapMs = Math.max(kill.longestGapMs, gap);
    }
  }

  /** `queues`: those whose leader was killed. */
  kill(queues: readonly number[]): void {
    this.#kills.push({ atMs: performance.now(), queues, longestGapMs: 0 });
    // Only the last few can still be within their watch time.
    if (this.#kills.length > 4) this.#settled.push(this.#kills.shift() as Kill);
  }

  readonly #settled: Kill[] = [];

  /** Per kill, in order. */
  gapsMs(): number[] {
    return [...this.#settled, ...this.#kills].map((kill) => kill.longestGapMs);
  }
}
