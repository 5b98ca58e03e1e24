/** The production side of Raft's `Clock` port: one timer, one deferred run at a time. */
import { performance } from 'node:perf_hooks';
import type { Clock } from '../raft/ports.ts';

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
