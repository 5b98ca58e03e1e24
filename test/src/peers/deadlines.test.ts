import fc from 'fast-check';
import { expect, it } from 'vitest';
import type { Deadline } from '../../../src/peers/deadlines.ts';
import { Deadlines } from '../../../src/peers/deadlines.ts';

/** A clock that stands still until it is moved, with one timer. */
class FakeClock {
  atMs = 0;
  timers = 0;
  #timer: { atMs: number; fire: () => void } | undefined;

  nowMs(): number {
    return this.atMs;
  }

  setTimer(delayMs: number, fire: () => void): unknown {
    expect(this.#timer, 'one timer at a time').toBeUndefined();
    this.#timer = { atMs: this.atMs + delayMs, fire };
    this.timers += 1;
    return this.#timer;
  }

  clearTimer(timer: unknown): void {
    if (timer === this.#timer) this.#timer = undefined;
  }

  get armed(): boolean {
    return this.#timer !== undefined;
  }

  advanceTo(atMs: number): void {
    while (this.#timer !== undefined && this.#timer.atMs <= atMs) {
      const { fire } = this.#timer;
      this.atMs = this.#timer.atMs;
      this.#timer = undefined;
      fire();
    }
    this.atMs = atMs;
  }
}

function deadline(expire: () => void): Deadline {
  return { deadlineMs: 0, heapAt: -1, expire };
}

it('expires what is due, in order, as a sorted list would', () => {
  const step = fc.record({
    timeoutMs: fc.nat({ max: 300 }),
    remove: fc.nat(),
    waitMs: fc.constantFrom(0, 0, 0, 0, 40),
  });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 80, size: 'max' }), (steps) => {
      const clock = new FakeClock();
      const deadlines = new Deadlines(clock);
      const live: { item: Deadline; dueMs: number }[] = [];
      const expired: number[] = [];
      const expected: number[] = [];
      for (const { timeoutMs, remove, waitMs } of steps) {
        const dueMs = clock.atMs + timeoutMs;
        const item = deadline(() => expired.push(dueMs));
        deadlines.add(item, timeoutMs);
        live.push({ item, dueMs });
        if (remove % 3 === 0) {
          const [gone] = live.splice(remove % live.length, 1);
          if (gone !== undefined) deadlines.remove(gone.item);
        }
        clock.advanceTo(clock.atMs + waitMs);
        const due = live.filter((each) => each.dueMs <= clock.atMs);
        expected.push(...due.map((each) => each.dueMs).sort((a, b) => a - b));
        for (const each of due) live.splice(live.indexOf(each), 1);
        expect(expired).toEqual(expected);
        expect(deadlines.size).toBe(live.length);
      }
    }),
    { numRuns: 400 },
  );
});

it('sets no timer per call', () => {
  const clock = new FakeClock();
  const deadlines = new Deadlines(clock);
  for (let i = 0; i < 10_000; i += 1) {
    const item = deadline(() => undefined);
    deadlines.add(item, 1_000);
    clock.advanceTo(clock.atMs + 0.01);
    deadlines.remove(item);
  }
  expect(deadlines.size).toBe(0);
  clock.advanceTo(5_000);
  expect(clock.timers).toBeLessThan(5);
  expect(clock.armed).toBe(false);
});

it('lets an expiring item add and remove others', () => {
  const clock = new FakeClock();
  const deadlines = new Deadlines(clock);
  const log: string[] = [];
  const second = deadline(() => log.push('second'));
  const third = deadline(() => log.push('third'));
  const first = deadline(() => {
    log.push('first');
    deadlines.remove(second);
    deadlines.add(third, 5);
  });
  deadlines.add(first, 10);
  deadlines.add(second, 10);
  clock.advanceTo(20);
  expect(log).toEqual(['first', 'third']);
});

it('expires nothing after clear', () => {
  const clock = new FakeClock();
  const deadlines = new Deadlines(clock);
  deadlines.add(
    deadline(() => expect.unreachable()),
    10,
  );
  deadlines.clear();
  expect(clock.armed).toBe(false);
  clock.advanceTo(20);
});
