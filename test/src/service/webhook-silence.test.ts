import { expect, it } from 'vitest';
import { Silence } from '../../../src/service/webhooks/silence.ts';

const MINUTE_MS = 60_000;

it('is told at once, then less and less often, down to once an hour', () => {
  const silence = new Silence();
  const told: number[] = [];
  for (let minute = 0; minute <= 300; minute++) {
    const found = silence.failed(5 + minute * MINUTE_MS);
    if (found === undefined) continue;
    expect(found).toEqual({ failures: minute + 1, seconds: 60 * minute });
    told.push(minute);
  }
  expect(told).toEqual([0, 1, 3, 7, 15, 31, 63, 123, 183, 243]);
});

it('many questions at one time are one line', () => {
  const silence = new Silence();
  expect(silence.failed(5)).toEqual({ failures: 1, seconds: 0 });
  for (let i = 0; i < 100; i++) expect(silence.failed(6)).toBeUndefined();
  expect(silence.failed(5 + MINUTE_MS)).toEqual({ failures: 102, seconds: 60 });
});

it('after an answer it begins anew', () => {
  const silence = new Silence();
  expect(silence.over()).toBe(0);
  for (const at of [0, 1, MINUTE_MS]) silence.failed(at);
  expect(silence.over()).toBe(3);
  expect(silence.over()).toBe(0);
  expect(silence.failed(MINUTE_MS + 1)).toEqual({ failures: 1, seconds: 0 });
  expect(silence.failed(2 * MINUTE_MS)).toBeUndefined();
  expect(silence.failed(2 * MINUTE_MS + 1)).toEqual({ failures: 3, seconds: 60 });
});
