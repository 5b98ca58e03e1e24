import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { Calls, OWN_CALL } from '../../../src/service/call.ts';
import { DEADLINE_SLOT_MS, type DeadlineClock, Deadlines } from '../../../src/service/deadlines.ts';
import type { CallError } from '../../../src/status.ts';

/** Time that passes when told to. */
class FakeClock implements DeadlineClock {
  now = 0;
  #timer: { readonly at: number; readonly fire: () => void } | undefined;
  timersSet = 0;

  nowMs(): number {
    return this.now;
  }
  setTimer(fire: () => void, delayMs: number): unknown {
    this.timersSet += 1;
    this.#timer = { at: this.now + delayMs, fire };
    return this.#timer;
  }
  clearTimer(timer: unknown): void {
    if (this.#timer === timer) this.#timer = undefined;
  }
  advance(toMs: number): void {
    while (this.#timer !== undefined && this.#timer.at <= toMs) {
      const { at, fire } = this.#timer;
      this.#timer = undefined;
      this.now = Math.max(this.now, at);
      fire();
    }
    this.now = toMs;
  }
}

describe('deadlines', () => {
  test('each fires once, never early, at most a slot late; removed ones never', () => {
    const entry = fc.record({ at: fc.nat(5_000), removed: fc.boolean() });
    fc.assert(
      fc.property(fc.array(entry, { maxLength: 50 }), (entries) => {
        const clock = new FakeClock();
        const deadlines = new Deadlines(clock);
        const fired: number[][] = entries.map(() => []);
        entries.forEach(({ at, removed }, index) => {
          const expiring = { expire: () => fired[index]!.push(clock.now) };
          deadlines.add(at, expiring);
          if (removed) deadlines.remove(at, expiring);
        });
        clock.advance(6_000);
        entries.forEach(({ at, removed }, index) => {
          expect(fired[index]).toHaveLength(removed ? 0 : 1);
          if (removed) return;
          expect(fired[index]![0]).toBeGreaterThanOrEqual(at);
          expect(fired[index]![0]).toBeLessThanOrEqual(at + DEADLINE_SLOT_MS);
        });
        expect(deadlines.size).toBe(0);
      }),
    );
  });

  test('one that another takes out as it fires does not fire any more', () => {
    const clock = new FakeClock();
    const deadlines = new Deadlines(clock);
    const fired: string[] = [];
    const late = { expire: () => fired.push('late') };
    const first = {
      expire: () => {
        fired.push('first');
        deadlines.remove(100, late);
        deadlines.add(200, { expire: () => fired.push('next') });
      },
    };
    deadlines.add(100, first);
    deadlines.add(100, late);
    clock.advance(1_000);
    expect(fired).toEqual(['first', 'next']);
    expect(deadlines.size).toBe(0);
  });

  test('ten thousand calls that end in time need a handful of timers', () => {
    const clock = new FakeClock();
    const deadlines = new Deadlines(clock);
    const calls = new Calls(clock, deadlines);
    for (let i = 0; i < 10_000; i += 1) {
      clock.advance(i);
      calls.open(30_000, OWN_CALL, () => {}).finish(undefined, undefined);
    }
    expect(deadlines.size).toBe(0);
    expect(clock.timersSet).toBeLessThan(10);
  });
});

describe('calls', () => {
  function opened(timeoutMs = 100) {
    const clock = new FakeClock();
    const calls = new Calls(clock, new Deadlines(clock));
    const outcomes: (string | undefined)[] = [];
    const call = calls.open(timeoutMs, OWN_CALL, (error) => outcomes.push(error?.reason));
    return { clock, call, outcomes };
  }

  test('before anything was sent a deadline is definite, afterwards unknown', () => {
    const early = opened();
    early.clock.advance(200);
    expect(early.outcomes).toEqual(['DEADLINE_BEFORE_START']);
    const late = opened();
    late.call.mayHaveTakenEffect = true;
    late.clock.advance(200);
    expect(late.outcomes).toEqual(['DEADLINE_EXCEEDED']);
  });

  test('what a part may have done, the whole may have done', () => {
    const { call, clock, outcomes } = opened();
    const child = call.child(() => {});
    child.mayHaveTakenEffect = true;
    clock.advance(200);
    expect(outcomes).toEqual(['DEADLINE_EXCEEDED']);
    expect(child.finished).toBe(true);
  });

  test('ends once: abort runs, late answers are dropped', () => {
    const { call, outcomes } = opened();
    let aborted = 0;
    call.abort = () => {
      aborted += 1;
    };
    call.cancel();
    call.cancel();
    call.finish(undefined, new Uint8Array(1));
    expect([aborted, outcomes]).toEqual([1, ['CANCELLED']]);
  });

  test('a part that finishes is forgotten; cancelling ends the ones that run', () => {
    const { call } = opened();
    const ends: string[] = [];
    const note = (name: string) => (error: CallError | undefined) =>
      ends.push(`${name} ${error?.reason ?? 'ok'}`);
    call.child(note('first')).finish(undefined, undefined);
    call.child(note('second'));
    call.cancel();
    expect(ends).toEqual(['first ok', 'second CANCELLED']);
  });
});
