/**
 * Virtual time: a heap of events, ties broken by the order of scheduling. An event may continue
 * code that waits on promises (storage opens that way): then the next event waits until that code
 * has run as far as it can. Microtasks are counted, never timed, so a seed stays one history.
 */
/** Deeper than the chain of promises behind any one read of the state store. */
const MICROTASK_TURNS = 48;
/** An opening that has not come to its next operation by then never will. */
const OPENING_TURNS_MAX = 1_000_000;

/** Code full of promises that opens something, one operation of the simulated world at a time. */
export class Opening {
  #pending = 0;
  isOver = false;

  get isRunnable(): boolean {
    return !this.isOver && this.#pending === 0;
  }

  /** It has begun an operation; the result is to be called when it ends. */
  awaits(): () => void {
    this.#pending++;
    return () => {
      this.#pending--;
    };
  }
}

interface Event {
  readonly atMs: number;
  readonly sequence: number;
  readonly run: () => void;
}

function isBefore(left: Event, right: Event): boolean {
  return left.atMs < right.atMs || (left.atMs === right.atMs && left.sequence < right.sequence);
}

export class Scheduler {
  #heap: Event[] = [];
  #sequence = 0;
  #isAwaited = false;
  #openings: Opening[] = [];
  #failure: Error | undefined = undefined;
  nowMs = 0;
  events = 0;

  after(delayMs: number, run: () => void): void {
    this.at(this.nowMs + delayMs, run);
  }

  at(atMs: number, run: () => void): void {
    this.#push({ atMs: Math.max(atMs, this.nowMs), sequence: this.#sequence++, run });
  }

  /** The event under way resolved a promise. */
  promised(): void {
    this.#isAwaited = true;
  }

  opening(): Opening {
    const opening = new Opening();
    this.#openings.push(opening);
    return opening;
  }

  /** Ends the run: for what went wrong where nobody can catch it. The first one counts. */
  fail(error: Error): void {
    this.#failure ??= error;
  }

  /** Runs everything that is due up to `untilMs`; `check` after each event. */
  async runUntil(untilMs: number, check: () => void): Promise<void> {
    for (let next = this.#heap[0]; next !== undefined; next = this.#heap[0]) {
      if (next.atMs > untilMs) break;
      this.#pop();
      this.nowMs = next.atMs;
      this.events++;
      next.run();
      if (this.#openings.length > 0) await this.#open();
      if (this.#isAwaited) await this.#settle();
      if (this.#failure !== undefined) throw this.#failure;
      check();
    }
    this.nowMs = untilMs;
  }

  async #open(): Promise<void> {
    let turns = 0;
    while (this.#openings.some(({ isRunnable }) => isRunnable)) {
      if (turns++ > OPENING_TURNS_MAX) throw new Error('an opening goes on for ever');
      await undefined;
    }
    this.#openings = this.#openings.filter(({ isOver }) => !isOver);
  }

  async #settle(): Promise<void> {
    this.#isAwaited = false;
    for (let turn = 0; turn < MICROTASK_TURNS; turn++) await undefined;
  }

  #push(event: Event): void {
    const heap = this.#heap;
    let at = heap.length;
    heap.push(event);
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if (!isBefore(event, heap[parent]!)) break;
      heap[at] = heap[parent]!;
      at = parent;
    }
    heap[at] = event;
  }

  #pop(): void {
    const heap = this.#heap;
    const last = heap.pop()!;
    if (heap.length === 0) return;
    let at = 0;
    for (;;) {
      let child = 2 * at + 1;
      if (child >= heap.length) break;
      if (child + 1 < heap.length && isBefore(heap[child + 1]!, heap[child]!)) child++;
      if (!isBefore(heap[child]!, last)) break;
      heap[at] = heap[child]!;
      at = child;
    }
    heap[at] = last;
  }
}
