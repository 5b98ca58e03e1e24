/** The time that a whole check may take: a checker that does not come to its end proves nothing. */
import { nowMs } from '../history.ts';

/** Reading the clock costs more than most steps. */
const STEPS_PER_LOOK = 1024;

export class TimeUp extends Error {}

export class Bound {
  readonly #untilMs: number;
  #steps = 0;

  constructor(boundMs: number) {
    this.#untilMs = nowMs() + boundMs;
  }

  /** How much work it was. */
  get steps(): number {
    return this.#steps;
  }

  /** One step of any loop over a history. */
  step(): void {
    if (++this.#steps % STEPS_PER_LOOK === 0) this.look();
  }

  look(): void {
    if (nowMs() > this.#untilMs) throw new TimeUp();
  }
}
