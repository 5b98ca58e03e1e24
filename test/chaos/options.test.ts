import { expect, it } from 'vitest';
import { HELP, type RunOptions, readOptions } from '../../chaos/options.ts';
import { UsageError } from '../processes/options.ts';

const run = (...args: string[]) => readOptions(['run', ...args]) as RunOptions;

it('run: scenarios as they are written', () => {
  const { scenarios, seed, json, keep } = run('kill-all', 'kill-leader');
  expect(scenarios.map(({ name }) => name)).toEqual(['kill-all', 'kill-leader']);
  expect(scenarios[0]).toMatchObject({ nodes: 3, seconds: 60 });
  expect({ seed, json, keep }).toEqual({ seed: undefined, json: false, keep: false });
});

it('run: otherwise where the command line says so', () => {
  const given = run(
    'kill-all',
    '--nodes',
    '5',
    '--seconds',
    '7',
    '--rate',
    '90',
    '--level',
    'leader',
    '--seed',
    '9',
    '--json',
  );
  expect(given).toMatchObject({ seed: 9, json: true });
  expect(given.scenarios[0]).toMatchObject({ nodes: 5, seconds: 7, rate: 90, level: 'leader' });
});

it('run: against a running cluster, only what can be done from outside', () => {
  const { servers } = run('clients', '--servers', 'a:1,b:2');
  expect(servers).toEqual(['a:1', 'b:2']);
  expect(run('clients').servers).toBeUndefined();
  expect(() => run('kill-all', '--servers', 'a:1')).toThrow(/kill-all cannot be done/);
  expect(() => run('halves', '--servers', 'a:1')).toThrow(/halves cannot be done/);
});

it('run: only some faults of a scenario that draws them', () => {
  const [bitRot, storm] = run('bit-rot', '--faults', 'cut-log').scenarios.concat(
    run('storm', '--faults', 'halves,latency,halves').scenarios,
  );
  expect(bitRot).toMatchObject({
    faults: ['cut-log'],
    settings: { 'log.segmentBytes': expect.any(Number) },
  });
  expect(storm).toMatchObject({ faults: ['halves', 'latency'], together: 2 });
  expect(run('storm', '--faults', 'halves').scenarios[0]).toMatchObject({ together: 1 });
  expect(() => run('storm', '--faults', 'wipe')).toThrow(/storm has no fault 'wipe'; it has kill/);
  expect(() => run('members-under-fire', '--faults', 'wipe')).toThrow(/has steps of its own/);
});

it('the short form: at least eight scenarios, long enough that most strike more than once', () => {
  const { scenarios } = readOptions(['--short']) as RunOptions;
  expect(scenarios.length).toBeGreaterThanOrEqual(8);
  for (const { seconds, nodes } of scenarios)
    expect({ seconds, nodes }).toEqual({ seconds: 20, nodes: 3 });
  expect(scenarios.map(({ name }) => name)).toContain('power-cut-all');
});

it('list, check, help', () => {
  expect(readOptions(['list'])).toEqual({ command: 'list' });
  expect(readOptions(['check', 'a', 'b'])).toEqual({
    command: 'check',
    files: ['a', 'b'],
    json: false,
  });
  for (const args of [[], ['--help'], ['help'], ['run', '--help']]) {
    expect(readOptions(args)).toEqual({ command: 'help' });
  }
  expect(HELP).toContain('--seconds N');
});

it.each([
  ['run'],
  ['check'],
  ['attack'],
  ['run', 'kill-nobody'],
  ['run', 'kill-all', '--nodes', '4'],
  ['run', 'kill-all', '--level', 'best'],
  ['run', 'kill-all', '--seconds=-1'],
  ['run', 'kill-all', '--seed', '1.5'],
  ['run', 'kill-all', '--rate', '-1'],
  ['run', 'kill-all', '--fast'],
])('refused: %s', (...args) => {
  expect(() => readOptions(args)).toThrow(UsageError);
});
