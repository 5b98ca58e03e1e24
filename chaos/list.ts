/** `holdfast chaos list`: what can be run, what it is made of, and what cannot be done here. */
import { type Lack, lacksHere, missingFor } from './here.ts';
import { NEMESES, nemesisNamed } from './nemesis/list.ts';
import type { Need } from './nemesis/nemesis.ts';
import { knownScenarios, scenarioFolder } from './run/scenario-file.ts';
import { nemesesOf } from './run/schedule.ts';

interface Named {
  readonly name: string;
  readonly does: string;
}

export function listText(lacks: readonly Lack[] = lacksHere()): string {
  const scenarios = knownScenarios();
  const width = Math.max(...[...NEMESES, ...scenarios].map(({ name }) => name.length));
  const row = ({ name, does }: Named, needs: readonly Need[], verdict: string) => {
    const missing = missingFor(needs, lacks);
    const mark = missing.length === 0 ? '' : ` [${verdict} here: no ${missing.join(', no ')}]`;
    return `  ${name.padEnd(width)}  ${does}${mark}`;
  };
  return [
    'scenarios, for holdfast chaos run NAME:',
    ...scenarios.map((scenario) => {
      const needs = nemesesOf(scenario).flatMap((name) => nemesisNamed(name).needs);
      return row(scenario, needs, 'cannot run');
    }),
    '',
    'faults, to be named in a scenario of your own:',
    ...NEMESES.map((nemesis) => row(nemesis, nemesis.needs, 'skipped')),
    '',
    ...lacks.map(({ thing, faults }) => `There is no ${thing} here: ${faults} are skipped.`),
    ...(lacks.length === 0 ? ['Nothing is missing here: every scenario can run.'] : []),
    '',
    `The scenarios are files in ${scenarioFolder()}; copy one, change it, and run it by its path.`,
  ].join('\n');
}
