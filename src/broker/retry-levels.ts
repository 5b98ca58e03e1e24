/** How long a message waits before its next attempt, where the consumer does not say. */

const SECOND_MS = 1000;
const MINUTE_MS = 60 * SECOND_MS;
const HOUR_MS = 60 * MINUTE_MS;

/** After attempt 1, 2, … 16: the steps that RocketMQ's users know. */
export const RETRY_LEVELS_MS: readonly number[] = Object.freeze([
  ...[10, 30].map((seconds) => seconds * SECOND_MS),
  ...[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 20, 30].map((minutes) => minutes * MINUTE_MS),
  ...[1, 2].map((hours) => hours * HOUR_MS),
]);

/** A message that should become a dead letter, where there is no room for one, tries again then. */
export const NO_ROOM_WAIT_MS = 2 * HOUR_MS;

export function retryAfterMs(attempt: number): number {
  return RETRY_LEVELS_MS[Math.min(attempt, RETRY_LEVELS_MS.length) - 1]!;
}
