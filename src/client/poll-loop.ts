/** One long poll after the other, until somebody stops them. */
import { backoffMs, pause } from './backoff.ts';
import { HoldfastError } from './errors.ts';

export const POLL_WAIT_MS = 25_000;
export const POLL_TIMEOUT_MS = 30_000;

/**
 * Resolves when `signal` fires. Rejects only with errors that repeating would not cure; `failed` is
 * told of every one.
 */
export async function pollLoop(
  poll: () => Promise<void>,
  signal: AbortSignal,
  failed: (error: unknown) => void,
): Promise<void> {
  for (let failures = 0; !signal.aborted; ) {
    try {
      await poll();
      failures = 0;
    } catch (error) {
      if (signal.aborted) return;
      failed(error);
      if (!(error instanceof HoldfastError && error.retryable)) throw error;
      failures += 1;
      await pause(backoffMs(failures, error.retryAfterMs), signal);
    }
  }
}
