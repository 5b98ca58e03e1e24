import { expect, it } from 'vitest';
import { durationMs } from '../../../src/testing/duration.ts';

it.each([
  [0, 0],
  [90, 90],
  ['250ms', 250],
  ['10s', 10_000],
  ['1.5s', 1500],
  ['5m', 300_000],
  ['2h', 7_200_000],
  ['3d', 259_200_000],
])('%j is %d ms', (given, ms) => {
  expect(durationMs(given as never)).toBe(ms);
});

it.each(['10 s', '-1s', '', '90', 'soon', '0.5ms', -5, 0.5, Number.NaN, undefined])(
  '%j is none',
  (given) => {
    expect(() => durationMs(given as never)).toThrow(/is no duration: give whole milliseconds/);
  },
);
