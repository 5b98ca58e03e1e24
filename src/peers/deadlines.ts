import assert from 'node:assert';

/** Something that ends by itself. Lives in at most one `Deadlines` at a time. */
export interface Deadline {
  deadlineMs: number;
  /** Where it is in the heap; -1 = nowhere. Written by `Deadlines` alone. */
  heapAt: number;
  expire(): void;
}

/** The clock and the one timer that all deadlines share. */
export interface DeadlineClock {
  nowMs(): number;
  setTimer(delayMs: number, fire: () => void): unknown;
  clearTimer(timer: unknown): void;
}

/**
 * Many deadlines, one timer: a binary heap from which an element can be taken out anywhere, so that
 * finished calls leave nothing behind. The timer is only ever moved forward in time by an earlier
 * deadline; when the calls it was set for are long over it fires once for nothing and is set anew.
 */
export class Deadlines {
  readonly #clock: DeadlineClock;
  readonly #heap: Deadline[] = [];
  #timer: unknown;
  #timerAtMs = Number.POSITIVE_INFINITY;

  constructor(clock: DeadlineClock) {
    this.#clock = clock;
  }

  get size(): number {
    return this.#heap.length;
  }

  nowMs(): number {
    return this.#clock.nowMs();
  }

  add(item: Deadline, timeoutMs: number): void {
    assert(item.heapAt === -1, 'deadline added twice');
    item.deadlineMs = this.#clock.nowMs() + timeoutMs;
    item.heapAt = this.#heap.length;
    this.#heap.push(item);
    this.#siftUp(item);
    if (item.deadlineMs < this.#timerAtMs) this.#arm(item.deadlineMs, timeoutMs);
  }

  /** Does nothing if the item is not here. */
  remove(item: Deadline): void {
    const at = item.heapAt;
    if (at === -1) return;
    item.heapAt = -1;
    const last = this.#heap.pop() as Deadline;
    if (last === item) return;
    this.#put(last, at);
    this.#siftUp(last);
    this.#siftDown(last);
  }

  /** Forgets everything; nothing expires any more. */
  clear(): void {
    for (const item of this.#heap) item.heapAt = -1;
    this.#heap.length = 0;
    this.#disarm();
  }

  #arm(atMs: number, delayMs: number): void {
    this.#disarm();
    this.#timerAtMs = atMs;
    this.#timer = this.#clock.setTimer(Math.max(0, Math.ceil(delayMs)), () => this.#fire());
  }

  #disarm(): void {
    if (this.#timerAtMs !== Number.POSITIVE_INFINITY) this.#clock.clearTimer(this.#timer);
    this.#timerAtMs = Number.POSITIVE_INFINITY;
  }

  #fire(): void {
    this.#timerAtMs = Number.POSITIVE_INFINITY;
    const nowMs = this.#clock.nowMs();
    let first = this.#heap[0];
    while (first !== undefined && first.deadlineMs <= nowMs) {
      this.remove(first);
      first.expire();
      first = this.#heap[0];
    }
    if (first !== undefined && first.deadlineMs < this.#timerAtMs) {
      this.#arm(first.deadlineMs, first.deadlineMs - nowMs);
    }
  }

  #put(item: Deadline, at: number): void {
    this.#heap[at] = item;
    item.heapAt = at;
  }

  #siftUp(item: Deadline): void {
    while (item.heapAt > 0) {
      const at = item.heapAt;
      const parent = this.#heap[(at - 1) >> 1] as Deadline;
      if (parent.deadlineMs <= item.deadlineMs) return;
      this.#put(item, (at - 1) >> 1);
      this.#put(parent, at);
    }
  }

  #siftDown(item: Deadline): void {
    for (;;) {
      const at = item.heapAt;
      let child = this.#heap[2 * at + 1];
      const right = this.#heap[2 * at + 2];
      if (child === undefined) return;
      if (right !== undefined && right.deadlineMs < child.deadlineMs) child = right;
      if (item.deadlineMs <= child.deadlineMs) return;
      this.#put(item, child.heapAt);
      this.#put(child, at);
    }
  }
}
