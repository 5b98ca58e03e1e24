/** Whether processes are there, by their ids. */

export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

/** Looks again each turn until all have ended; fails when they do not. */
export async function allGone(pids: readonly number[], withinMs: number): Promise<void> {
  const endAtMs = performance.now() + withinMs;
  while (pids.some(isAlive)) {
    if (performance.now() > endAtMs) {
      throw new Error(`still there: ${pids.filter(isAlive).join(', ')}`);
    }
    await new Promise((resolve) => setImmediate(resolve));
  }
}
