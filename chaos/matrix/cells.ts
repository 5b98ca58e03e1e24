/** What the matrix consists of: every fault alone, and every scenario of several at a time. */
import { NEMESES, nemesisNamed } from '../nemesis/list.ts';
import type { Nemesis } from '../nemesis/nemesis.ts';
import { knownScenarios, type Scenario } from '../run/scenario-file.ts';
import { nemesesOf } from '../run/schedule.ts';

export interface Cell {
  /** Of the fault, or of the scenario of several. */
  readonly name: string;
  readonly nodes: 3 | 5;
  /** The scenario to run, and what of it; undefined: all. */
  readonly scenario: string;
  readonly fault?: string;
}

export function cellsFor(sizes: readonly Cell['nodes'][]): Cell[] {
  const scenarios = knownScenarios();
  const alone = NEMESES.map(({ name }) => ({
    ...{ name, fault: name },
    scenario: narrowest(scenarios, name).name,
  }));
  const composites = scenarios.filter(isComposite).map(({ name }) => ({ name, scenario: name }));
  return sizes.flatMap((nodes) =>
    [...alone, ...composites]
      .map((cell): Cell => ({ ...cell, nodes }))
      .filter((cell) => hasShape(cell, scenarios)),
  );
}

/** Of those that draw it, the one that is most about it: its settings and times suit the fault. */
function narrowest(scenarios: readonly Scenario[], fault: string): Scenario {
  const [found] = scenarios
    .filter((scenario) => 'faults' in scenario && scenario.faults.includes(fault))
    .sort((a, b) => nemesesOf(a).length - nemesesOf(b).length);
  if (found === undefined) throw new Error(`no scenario draws the fault ${fault}`);
  return found;
}

/** Different faults are on at the same time. */
export function isComposite(scenario: Scenario): boolean {
  if ('steps' in scenario) return scenario.steps.some((step) => step.length > 1);
  return scenario.together > 1;
}

function hasShape({ fault, scenario: name, nodes }: Cell, scenarios: readonly Scenario[]): boolean {
  const scenario = scenarios.find((one) => one.name === name);
  const needed = fault === undefined && scenario !== undefined ? nemesesOf(scenario) : [fault!];
  return needed.map(nemesisNamed).every(({ nodesMin = 3 }: Nemesis) => nodes >= nodesMin);
}
