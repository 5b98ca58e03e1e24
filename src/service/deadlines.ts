/**
 * Deadlines of all calls on one timer: ten thousand calls in flight cost ten thousand set entries,
 * not ten thousand timers. Coarse on purpose: a deadline fires up to one slot late, never early.
 */

/** Width of a slot. */
export const DEADLINE_SLOT_MS = 16;

export interface Expiring {
  /** Called once, at or after the deadline, unless removed before. */
  expire(): void;
}

export interface DeadlineClock {
  /** Monotonic milliseconds. */
  nowMs(): number;
  setTimer(callback: () => void, delayMs: number): unknown;
  clearTimer(timer: unknown): void;
}

export class Deadlines {
  readonly #clock: DeadlineClock;
  readonly #slots = new Map<number, Set<Expiring>>();
  #timer: unknown;
  #armedSlot = Number.POSITIVE_INFINITY;

  constructor(clock: DeadlineClock) {
    this.#clock = clock;
  }

  get size(): number {
    let size = 0;
    for (const slot of this.#slots.values()) size += slot.size;
    return size;
  }

  add(atMs: number, expiring: Expiring): void {
    const slot = slotOf(atMs);
    const members = this.#slots.get(slot);
    if (members === undefined) this.#slots.set(slot, new Set([expiring]));
    else members.add(expiring);
    if (slot < this.#armedSlot) this.#arm(slot);
  }

  remove(atMs: number, expiring: Expiring): void {
    const slot = slotOf(atMs);
    const members = this.#slots.get(slot);
    if (members === undefined) return;
    members.delete(expiring);
    if (members.size === 0) this.#slots.delete(slot);
  }

  /** Forgets everything; nothing fires any more. */
  close(): void {
    this.#slots.clear();
    if (this.#timer !== undefined) this.#clock.clearTimer(this.#timer);
    this.#timer = undefined;
    this.#armedSlot = Number.POSITIVE_INFINITY;
  }

  #arm(slot: number): void {
    if (this.#timer !== undefined) this.#clock.clearTimer(this.#timer);
    this.#armedSlot = slot;
    const delayMs = Math.max(0, Math.ceil(slot * DEADLINE_SLOT_MS - this.#clock.nowMs()));
    this.#timer = this.#clock.setTimer(() => this.#fire(), delayMs);
  }

  #fire(): void {
    this.#timer = undefined;
    this.#armedSlot = Number.POSITIVE_INFINITY;
    const nowMs = this.#clock.nowMs();
    const due: (readonly [number, Set<Expiring>])[] = [];
    let next = Number.POSITIVE_INFINITY;
    for (const [slot, members] of this.#slots) {
      if (slot * DEADLINE_SLOT_MS <= nowMs) due.push([slot, members]);
      else if (slot < next) next = slot;
    }
    // Each is still in its slot until its turn, so that one that fires can take out another.
    for (const [slot, members] of due) {
      for (const expiring of members) {
        members.delete(expiring);
        expiring.expire();
      }
      if (this.#slots.get(slot) === members) this.#slots.delete(slot);
    }
    if (next < this.#armedSlot) this.#arm(next);
  }
}

/** The first slot that begins at or after the deadline. */
function slotOf(atMs: number): number {
  return Math.ceil(atMs / DEADLINE_SLOT_MS);
}

export const SYSTEM_DEADLINE_CLOCK: DeadlineClock = {
  nowMs: () => performance.now(),
  setTimer: (callback, delayMs) => setTimeout(callback, delayMs),
  clearTimer: (timer) => clearTimeout(timer as NodeJS.Timeout),
};
