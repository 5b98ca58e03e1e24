/** `holdfast chaos list`: what can be run, and what it is made of. */
import { NEMESES } from './nemesis/list.ts';
import { knownScenarios, scenarioFolder } from './run/scenario-file.ts';

export function listText(): string {
  const scenarios = knownScenarios();
  const width = Math.max(...[...NEMESES, ...scenarios].map(({ name }) => name.length));
  const row = ({ name, does }: { readonly name: string; readonly does: string }) =>
    `  ${name.padEnd(width)}  ${does}`;
  return [
    'scenarios, for holdfast chaos run NAME:',
    ...scenarios.map(row),
    '',
    'faults, to be named in a scenario of your own:',
    ...NEMESES.map(row),
    '',
    `The scenarios are files in ${scenarioFolder()}; copy one, change it, and run it by its path.`,
  ].join('\n');
}
