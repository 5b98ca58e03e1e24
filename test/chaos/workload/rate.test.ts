import { expect, it } from 'vitest';
import { Rate } from '../../../chaos/workload/rate.ts';

/** Not in a burst. */
const START_MS = 5000;

/** How many requests may start in a second when each writer comes back as soon as it may. */
function startedIn(rate: Rate, fromMs: number, writers: number, requests: number): number {
  const due = Array.from({ length: writers }, () => fromMs + rate.waitMs(requests, fromMs));
  let started = 0;
  for (;;) {
    const atMs = Math.min(...due);
    if (atMs >= fromMs + 1000) return started;
    started += requests;
    due[due.indexOf(atMs)] = atMs + rate.waitMs(requests, atMs);
  }
}

it('as many as asked for, whoever writes how many at once', () => {
  for (const [writers, requests] of [
    [1, 1],
    [12, 1],
    [12, 8],
  ] as const) {
    const started = startedIn(new Rate(200), START_MS, writers, requests);
    expect(Math.abs(started - 200)).toBeLessThanOrEqual(requests);
  }
});

it('three times as many for one second in ten', () => {
  expect(startedIn(new Rate(200), 10_000, 12, 1)).toBeGreaterThan(590);
  expect(startedIn(new Rate(200), 11_000, 12, 1)).toBeLessThan(210);
});

it('what was not sent while the cluster stood still is not made up for', () => {
  const rate = new Rate(100);
  expect(rate.waitMs(1, START_MS)).toBe(0);
  expect(rate.waitMs(1, START_MS)).toBe(10);
  expect(rate.waitMs(1, START_MS + 3000)).toBe(0);
  expect(rate.waitMs(1, START_MS + 3000)).toBe(10);
});

it('0: nobody waits', () => {
  const rate = new Rate(0);
  for (let i = 0; i < 100; i++) expect(rate.waitMs(8, START_MS)).toBe(0);
});
