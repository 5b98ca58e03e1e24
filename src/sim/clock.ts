/** The clocks of one machine: a monotonic one that drifts, a wall clock that jumps besides. */
import type { Clock } from '../../raft/ports.ts';
import type { Random } from './random.ts';
import type { Scheduler } from './scheduler.ts';

/** The wall clocks of the machines start here, each with its own error. */
export const WALL_EPOCH_MS = 1_700_000_000_000;
const OFFSET_MAX_MS = 5000;
const DEFER_MAX_MS = 0.2;
/** A timer is late rather than early, whatever the rounding of the two clocks. */
const WAKE_SLACK_MS = 0.001;

export class SimClock {
  readonly #scheduler: Scheduler;
  readonly #random: Random;
  /** Seconds of this machine per second of the world. */
  readonly #rate: number;
  readonly #deferMaxMs: number;
  readonly #bootMs: number;
  #offsetMs = 0;
  #highestOffsetMs = Number.NEGATIVE_INFINITY;
  #lowestOffsetMs = Number.POSITIVE_INFINITY;

  constructor(scheduler: Scheduler, random: Random, rate: number, deferMaxMs = DEFER_MAX_MS) {
    this.#scheduler = scheduler;
    this.#random = random;
    this.#rate = rate;
    this.#deferMaxMs = deferMaxMs;
    this.#bootMs = random.between(0, 1_000_000);
    this.wallOffsetMs = random.between(-OFFSET_MAX_MS, OFFSET_MAX_MS);
  }

  get wallOffsetMs(): number {
    return this.#offsetMs;
  }

  set wallOffsetMs(offsetMs: number) {
    this.#offsetMs = offsetMs;
    this.#highestOffsetMs = Math.max(this.#highestOffsetMs, offsetMs);
    this.#lowestOffsetMs = Math.min(this.#lowestOffsetMs, offsetMs);
  }

  /** As if it had never been set back. */
  get highestWallMs(): number {
    return this.wallMs - this.#offsetMs + this.#highestOffsetMs;
  }

  /** As if it had never been set ahead. */
  get lowestWallMs(): number {
    return this.wallMs - this.#offsetMs + this.#lowestOffsetMs;
  }

  get nowMs(): number {
    return this.#bootMs + this.#scheduler.nowMs * this.#rate;
  }

  get wallMs(): number {
    return WALL_EPOCH_MS + Math.floor(this.#scheduler.nowMs * this.#rate) + this.wallOffsetMs;
  }

  /** World time that passes while this clock shows so much. */
  worldMs(ownMs: number): number {
    return ownMs / this.#rate;
  }

  /** As one life of a process sees it; `alive` runs things in that life only. */
  port(alive: (run: () => void) => () => void): Clock {
    let wakeId = 0;
    return {
      nowMs: () => this.nowMs,
      wallMs: () => this.wallMs,
      wakeAt: (atMs, wake) => {
        const id = ++wakeId;
        const run = alive(() => {
          if (id === wakeId) wake();
        });
        const delayMs = Math.max(0, this.worldMs(atMs - this.nowMs)) + WAKE_SLACK_MS;
        this.#scheduler.after(delayMs, run);
      },
      cancelWake: () => {
        wakeId++;
      },
      defer: (run) => this.#scheduler.after(this.#random.next() * this.#deferMaxMs, alive(run)),
    };
  }
}
