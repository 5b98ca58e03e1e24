import { expect, it } from 'vitest';
import { readOptions } from '../../chaos/options.ts';
import { UsageError } from '../processes/options.ts';

it('by default both scenarios, few kills', () => {
  expect(readOptions([])).toEqual({
    scenarios: ['kill-leader', 'kill-all'],
    kills: 5,
    betweenMs: 2000,
    nodes: 3,
    json: false,
    check: undefined,
  });
});

it('one scenario, twenty kills', () => {
  expect(readOptions(['kill-all'])).toMatchObject({ scenarios: ['kill-all'], kills: 20 });
  expect(readOptions(['kill-leader', '--kills', '7', '--seconds-between', '0.5'])).toMatchObject({
    kills: 7,
    betweenMs: 500,
  });
});

it('the short form', () => {
  expect(readOptions(['--short', '--json'])).toMatchObject({
    kills: 3,
    betweenMs: 1000,
    json: true,
  });
});

it('asked for its help, it starts nothing', () => {
  expect(readOptions(['--help'])).toBeUndefined();
});

it.each([
  ['kill-nobody'],
  ['--kills', 'many'],
  ['--kills', '1.5'],
  ['--kills', ''],
  ['--seconds-between=-1'],
  ['--nodes', '2'],
  ['--fast'],
])('refused: %s %s', (...args) => {
  expect(() => readOptions(args)).toThrow(UsageError);
});
