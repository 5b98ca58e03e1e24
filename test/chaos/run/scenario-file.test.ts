import { expect, it } from 'vitest';
import { isComposite } from '../../../chaos/matrix/cells.ts';
import { findScenario, knownScenarios, scenarioFrom } from '../../../chaos/run/scenario-file.ts';
import { UsageError } from '../../processes/options.ts';

const HEAD = 'name: mine\ndoes: something\n';

it('what is not written has a default', () => {
  expect(scenarioFrom(`${HEAD}faults: [kill-leader]`, 'mine.yaml')).toEqual({
    name: 'mine',
    does: 'something',
    nodes: 3,
    level: 'majority_fsync',
    settings: {},
    rate: 250,
    workload: 'mixed',
    warmUpSeconds: 3,
    seconds: 60,
    gapSeconds: 2,
    holdSeconds: [2, 5],
    faults: ['kill-leader'],
    together: 1,
  });
});

it.each([
  ['faults: [kill-nobody]', 'faults.0: there is no fault kill-nobody'],
  ['steps: [[kill-all], [kill-nobody]]', 'steps.1.0: there is no fault kill-nobody'],
  ['faults: []', 'faults: '],
  ['faults: [kill-all, kill-all]', 'faults: each only once'],
  ['faults: [kill-all]\ntogether: 2', 'together: more than there are faults'],
  ['faults: [kill-all]\nnodes: 4', 'nodes: '],
  ['faults: [kill-all]\nholdSeconds: [3, 1]', 'holdSeconds: must be [least, most]'],
  ['faults: [kill-all]\nfualts: [kill-all]', 'fualts'],
  ['faults: [kill-all]\nlevel: best', 'level: '],
  ['faults: [kill-all]\nworkload: heavy', 'workload: '],
  ['faults: [kill-all', 'Flow sequence'],
])('refused: %s', (text, sentence) => {
  expect(() => scenarioFrom(HEAD + text, 'mine.yaml')).toThrow(UsageError);
  expect(() => scenarioFrom(HEAD + text, 'mine.yaml')).toThrow(sentence);
});

it('every file of the package is read, under its own name', () => {
  const scenarios = knownScenarios();
  for (const name of ['kill-leader', 'kill-all', 'power-cut', 'power-cut-all', 'bit-rot']) {
    expect(scenarios.map((scenario) => scenario.name)).toContain(name);
  }
  for (const scenario of scenarios) expect(findScenario(scenario.name)).toEqual(scenario);
});

it('at least twelve inflict different faults at the same time', () => {
  const composites = knownScenarios().filter(isComposite);
  expect(composites.length).toBeGreaterThanOrEqual(12);
  for (const scenario of composites) {
    const steps = 'steps' in scenario ? scenario.steps : [];
    for (const step of steps) expect(new Set(step).size).toBe(step.length);
  }
});

it('neither a name nor a file', () => {
  expect(() => findScenario('kill-nobody')).toThrow('there is no scenario kill-nobody');
  expect(() => findScenario('./nothing.yaml')).toThrow('./nothing.yaml does not exist');
});
