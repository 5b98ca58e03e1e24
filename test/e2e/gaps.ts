/** The longest time without an acknowledgement after each kill, over the queues that it hit. */

interface Kill {
  readonly atMs: number;
  readonly queues: readonly number[];
  longestGapMs: number;
}

export class GapMeter {
  readonly #lastAckMs: number[] = [];
  readonly #kills: Kill[] = [];
  readonly #watchMs: number;

  /** A gap counts for the latest kill when it begins at most `watchMs` after it. */
  constructor(watchMs: number) {
    this.#watchMs = watchMs;
  }

  ack(queue: number): void {
    const now = performance.now();
    const last = this.#lastAckMs[queue] ?? now;
    this.#lastAckMs[queue] = now;
    const kill = this.#kills.at(-1);
    if (kill === undefined || last > kill.atMs + this.#watchMs) return;
    if (kill.queues.includes(queue)) kill.longestGapMs = Math.max(kill.longestGapMs, now - last);
  }

  /** `queues`: those whose leader was killed. */
  kill(queues: readonly number[]): void {
    this.#kills.push({ atMs: performance.now(), queues, longestGapMs: 0 });
  }

  /** Per kill, in order. */
  gapsMs(): number[] {
    return this.#kills.map((kill) => kill.longestGapMs);
  }
}

/** The longest time without an acknowledgement of any queue that is sent to all the time. */
export class AckGaps {
  readonly #lastAckMs: number[] = [];
  readonly #startedMs = performance.now();
  longestMs = 0;
  /** When the longest one ended, since the start. */
  longestAtMs = 0;

  ack(queue: number): void {
    const now = performance.now();
    const gap = now - (this.#lastAckMs[queue] ?? now);
    this.#lastAckMs[queue] = now;
    if (gap <= this.longestMs) return;
    this.longestMs = gap;
    this.longestAtMs = now - this.#startedMs;
  }
}
