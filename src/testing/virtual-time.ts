/**
 * The time of a test cluster. It stands still while nobody advances it, yet whatever can happen
 * without time passing happens at once: what a call sets off wakes the scheduler by itself. When it
 * is advanced, it goes from one event to the next, and no further before everything that an event
 * set off has ended.
 */
import { Scheduler } from '../sim/scheduler.ts';

/** Code between two events may take so many turns of the real event loop. */
const QUIET_TURNS = 3;
/**
 * A client's patience is so many naps: on a machine that is busy elsewhere one long sleep may end
 * before anything else was run.
 */
const NAPS = 5;
/** So many events of little consequence, and the rest of the process gets a turn. */
const EVENTS_PER_TURN = 256;

const NOBODY_CHECKS = (): void => {};

function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

export class VirtualTime {
  readonly scheduler = new Scheduler();
  readonly #patienceMs: number;
  /** The end of what was asked for: one thing at a time. */
  #line: Promise<void> = Promise.resolve();
  #isRunning = false;
  #isWoken = false;
  #told = 0;
  /** Nothing is due; whoever knows better makes something happen. */
  onRest: () => void = () => {};

  /** Clients that were told something get so much real time to say what they make of it. */
  constructor(patienceMs: number) {
    this.#patienceMs = patienceMs;
    this.scheduler.onDue = () => this.#wake();
  }

  get nowMs(): number {
    return this.scheduler.nowMs;
  }

  /** A client was told something, or said something. */
  heard(): void {
    this.#told++;
  }

  /** Resolves when all that was due by then has happened. */
  advance(byMs: number): Promise<void> {
    // Clients that were just started have something to say.
    this.heard();
    return this.#run(async () => {
      const untilMs = Math.ceil(this.nowMs) + byMs;
      await this.#step(untilMs, () => false);
      await this.scheduler.runUntil(untilMs, NOBODY_CHECKS);
      await this.#comeToRest();
    });
  }

  /** Advances until it holds, at most so far, to a whole millisecond; resolves with whether. */
  async advanceUntil(holds: () => boolean, atMostMs: number): Promise<boolean> {
    await this.#run(async () => {
      await this.#step(this.nowMs + atMostMs, holds);
      await this.scheduler.runUntil(Math.ceil(this.nowMs), NOBODY_CHECKS);
      await this.#comeToRest();
    });
    return holds();
  }

  /** From event to event. */
  async #step(untilMs: number, holds: () => boolean): Promise<void> {
    const { scheduler } = this;
    await this.#comeToRest();
    for (let seen = scheduler.awaited, events = scheduler.events; !holds(); ) {
      const nextMs = scheduler.nextAtMs;
      if (nextMs === undefined || nextMs > untilMs) return;
      await scheduler.runUntil(nextMs, NOBODY_CHECKS);
      if (scheduler.awaited !== seen || this.#told > 0) {
        await this.#comeToRest();
        seen = scheduler.awaited;
      } else if (scheduler.events - events > EVENTS_PER_TURN) {
        events = scheduler.events;
        await turn();
      }
    }
  }

  /** Everything that the last event set off has ended, as far as that takes no time. */
  async #comeToRest(): Promise<void> {
    await this.#beQuiet();
    for (let naps = NAPS; this.#told > 0 || naps < NAPS; ) {
      naps = this.#told > 0 ? 1 : naps + 1;
      this.#told = 0;
      await new Promise((resolve) => setTimeout(resolve, this.#patienceMs / NAPS));
      await this.#beQuiet();
    }
  }

  async #beQuiet(): Promise<void> {
    for (let quiet = 0; quiet < QUIET_TURNS; quiet++) {
      await turn();
      if (await this.#runDue()) quiet = -1;
    }
  }

  /** All that can happen without time passing; resolves with whether anything did. */
  async #runDue(): Promise<boolean> {
    const { scheduler } = this;
    const { events } = scheduler;
    do {
      await scheduler.runUntil(this.nowMs, NOBODY_CHECKS);
      this.onRest();
    } while (this.#isDue());
    return scheduler.events > events;
  }

  #isDue(): boolean {
    const { nextAtMs } = this.scheduler;
    return nextAtMs !== undefined && nextAtMs <= this.nowMs;
  }

  /** What came in within a turn of the event loop is handled together, as on a real node. */
  #wake(): void {
    if (this.#isRunning || this.#isWoken) return;
    this.#isWoken = true;
    setImmediate(() => {
      this.#isWoken = false;
      void this.#run(() => this.#runDue());
    });
  }

  #run(work: () => Promise<unknown>): Promise<void> {
    const ran = this.#line.then(async () => {
      this.#isRunning = true;
      try {
        await work();
      } finally {
        this.#isRunning = false;
        if (this.#isDue()) this.#wake();
      }
    });
    this.#line = ran.catch(() => undefined);
    return ran;
  }
}
