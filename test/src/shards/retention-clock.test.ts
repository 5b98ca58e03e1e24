import { expect, test } from 'vitest';
import { CLOCK_TOLERANCE_MS, RetentionClock } from '../../../src/shards/retention-clock.ts';

const DAY_MS = 86_400_000;

test('a clock set days ahead makes nothing old; a correction or a slow clock is followed', () => {
  let monotonicMs = 5000;
  const clock = new RetentionClock({ wallMs: () => 100 * DAY_MS, monotonicMs: () => monotonicMs });
  expect(clock.nowMs(100 * DAY_MS)).toBe(100 * DAY_MS);
  monotonicMs += DAY_MS;
  expect(clock.nowMs(101 * DAY_MS + 1000)).toBe(101 * DAY_MS + 1000);
  expect(clock.nowMs(101 * DAY_MS - 1000)).toBe(101 * DAY_MS - 1000);
  expect(clock.nowMs(105 * DAY_MS)).toBe(101 * DAY_MS + CLOCK_TOLERANCE_MS);
});
