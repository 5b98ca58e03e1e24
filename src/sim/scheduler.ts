/**
 * Virtual time: a heap of events, ties broken by the order of scheduling. An event may continue
 * code that waits on promises (storage opens that way, checkpoints are made that way): then the
 * next event waits until all of that code waits again. Nothing depends on how long that takes, so a
 * seed stays one history.
 */

/** Resolves when no microtask is left: one turn of the real event loop. */
function microtasksDone(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
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
  #awaited = 0;
  #failure: Error | undefined = undefined;
  nowMs = 0;
  events = 0;
  /** Something is to happen without time passing. */
  onDue: () => void = () => {};

  after(delayMs: number, run: () => void): void {
    this.at(this.nowMs + delayMs, run);
  }

  at(atMs: number, run: () => void): void {
    this.#push({ atMs: Math.max(atMs, this.nowMs), sequence: this.#sequence++, run });
    if (atMs <= this.nowMs) this.onDue();
  }

  /** Of the next event; undefined = nothing will ever happen. */
  get nextAtMs(): number | undefined {
    return this.#heap[0]?.atMs;
  }

  /** The event under way resolved a promise. */
  promised(): void {
    this.#isAwaited = true;
    this.#awaited++;
  }

  /** How often events resolved promises. */
  get awaited(): number {
    return this.#awaited;
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
      if (this.#isAwaited) await this.#settle();
      if (this.#failure !== undefined) throw this.#failure;
      check();
    }
    this.nowMs = untilMs;
  }

  async #settle(): Promise<void> {
    this.#isAwaited = false;
    await microtasksDone();
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
