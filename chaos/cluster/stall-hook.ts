/** Loaded into every node before its own code (NODE_OPTIONS): a signal blocks its event loop. */
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { isMainThread } from 'node:worker_threads';
import { packageFolder } from '../../test/processes/package-folder.ts';

export const STALL_SIGNAL = 'SIGUSR2';
/** Several election timeouts. */
export const STALL_MS = 3600;
/** Only there: the harness imports this file for its names. */
const VARIABLE = 'CHAOS_STALL';

export function stallEnvironment(): Readonly<Record<string, string>> {
  // What was built: nodes cannot load the sources.
  const file = pathToFileURL(join(packageFolder(), 'dist/chaos/cluster/stall-hook.js'));
  return { [VARIABLE]: '1', NODE_OPTIONS: `--import=${file.href}` };
}

function standStill(): void {
  const untilMs = performance.now() + STALL_MS;
  while (performance.now() < untilMs);
}

if (isMainThread && process.env[VARIABLE] !== undefined) process.on(STALL_SIGNAL, standStill);
