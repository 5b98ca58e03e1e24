/** Loaded into every node before its own code (NODE_OPTIONS): a signal blocks its event loop. */
import { isMainThread } from 'node:worker_threads';

export const STALL_SIGNAL = 'SIGUSR2';
/** Several election timeouts. */
export const STALL_MS = 3600;
/** Only there: the harness imports this file for its names. */
const VARIABLE = 'CHAOS_STALL';

export function stallEnvironment(): Readonly<Record<string, string>> {
  const file = new URL('./stall-hook.js', import.meta.url);
  return { [VARIABLE]: '1', NODE_OPTIONS: `--import=${file.href}` };
}

function standStill(): void {
  const untilMs = performance.now() + STALL_MS;
  while (performance.now() < untilMs);
}

if (isMainThread && process.env[VARIABLE] !== undefined) process.on(STALL_SIGNAL, standStill);
