import { expect, it } from 'vitest';
import { cellsFor, isComposite } from '../../../chaos/matrix/cells.ts';
import { NEMESES } from '../../../chaos/nemesis/list.ts';
import { type RunOptions, readOptions } from '../../../chaos/options.ts';
import { knownScenarios } from '../../../chaos/run/scenario-file.ts';
import { nemesesOf } from '../../../chaos/run/schedule.ts';

it('every fault alone, where its shape exists', () => {
  const alone = cellsFor([3, 5]).filter(({ fault }) => fault !== undefined);
  const of = (nodes: number) => alone.filter((cell) => cell.nodes === nodes);
  const names = NEMESES.map(({ name }) => name);
  expect(of(5).map(({ fault }) => fault)).toEqual(names);
  expect(of(3).map(({ fault }) => fault)).toEqual(names.filter((name) => name !== 'majority-ring'));
});

it('every scenario of several faults at the same time', () => {
  const composites = cellsFor([5]).filter(({ fault }) => fault === undefined);
  const expected = knownScenarios().filter(isComposite);
  expect(composites.map(({ name }) => name)).toEqual(expected.map(({ name }) => name));
  expect(composites.map(({ name }) => name)).toContain('storm');
});

it('a cell is something that can be run', () => {
  for (const { scenario, fault, nodes } of cellsFor([3, 5])) {
    const faults = fault === undefined ? [] : ['--faults', fault];
    const options = readOptions(['run', scenario, '--nodes', `${nodes}`, ...faults]) as RunOptions;
    expect(options.scenarios[0]?.nodes).toBe(nodes);
    if (fault !== undefined) expect(nemesesOf(options.scenarios[0]!)).toEqual([fault]);
  }
});

it('a fault is run as the scenario does that is most about it', () => {
  const scenarioOf = (name: string) => cellsFor([5]).find(({ fault }) => fault === name)?.scenario;
  expect(scenarioOf('latency')).toBe('slow-network');
  expect(scenarioOf('flip-log')).toBe('bit-rot');
  expect(scenarioOf('kill-all')).toBe('kill-all');
});
