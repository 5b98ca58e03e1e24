/** Time and chance as one node meets them: the machine's own, unless somebody says otherwise. */
import { performance } from 'node:perf_hooks';
import type { Clock, Rng } from '../raft/ports.ts';

/** Calls back once, unless the function that it returns is called first. */
export type StartTimer = (delayMs: number, fire: () => void) => () => void;

/** What one node goes by; each node has its own. */
export interface World {
  readonly clock: Clock;
  readonly random: Rng;
  readonly startTimer: StartTimer;
}

export function systemWorld(): World {
  return { clock: createSystemClock(), random: Math.random, startTimer: startSystemTimer };
}

export function startSystemTimer(delayMs: number, fire: () => void): () => void {
  const timer = setTimeout(fire, delayMs);
  return () => clearTimeout(timer);
}

/** The production side of Raft's `Clock` port: one timer, one deferred run at a time. */
export function createSystemClock(): Clock {
  let timer: NodeJS.Timeout | undefined;
  return {
    nowMs: () => performance.now(),
    wallMs: () => Date.now(),
    wakeAt(atMs, wake) {
      if (timer !== undefined) clearTimeout(timer);
      timer = setTimeout(wake, Math.max(0, Math.ceil(atMs - performance.now())));
    },
    // setImmediate runs after the I/O callbacks of this loop turn: what they brought goes as one.
    defer(run) {
      setImmediate(run);
    },
    cancelWake() {
      if (timer !== undefined) clearTimeout(timer);
      timer = undefined;
    },
  };
}
