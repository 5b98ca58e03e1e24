/** Waits between attempts: doubling, with full jitter, so that many clients do not come at once. */
export interface Backoff {
  readonly baseMs: number;
  readonly limitMs: number;
}

export const BACKOFF: Backoff = { baseMs: 20, limitMs: 250 };

/** The wait before attempt `attempt` (1 = the first repeat), never less than the server's hint. */
export function backoffMs(attempt: number, hintMs: number, random = Math.random): number {
  const ceiling = Math.min(BACKOFF.limitMs, BACKOFF.baseMs * 2 ** Math.min(attempt, 16));
  return Math.max(hintMs, Math.ceil(ceiling * random()));
}

/** Resolves after `ms`, or at once when the signal fires. */
export function pause(ms: number, signal: AbortSignal | undefined): Promise<void> {
  return new Promise((resolve) => {
    if (signal?.aborted === true) {
      resolve();
      return;
    }
    const finish = () => {
      clearTimeout(timer);
      signal?.removeEventListener('abort', finish);
      resolve();
    };
    const timer = setTimeout(finish, ms);
    signal?.addEventListener('abort', finish, { once: true });
  });
}
