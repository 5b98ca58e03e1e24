/** The command line of `npm run chaos -- …`. */
import {
  type CommandLine,
  type CommandSpec,
  flag,
  helpOf,
  number,
  readCommandLine,
  text,
  UsageError,
} from '../test/processes/options.ts';
import { SCENARIOS, type Scenario } from './nemesis.ts';

const SPEC = {
  kills: number(undefined, 'kills per scenario (20; 5 when no scenario is named)', {
    ...{ max: 10_000, whole: true },
  }),
  'seconds-between': number(undefined, 'load between two kills (2)', { max: 10_000 }),
  nodes: number(3, 'nodes of the cluster: 3, 5 or 7', { min: 3, max: 7, whole: true }),
  short: flag('the form for every check-in: 3 kills, 1 s between'),
  json: flag('one line of JSON per scenario'),
  check: text('FILE', undefined, 'judge a history.jsonl again, start nothing'),
};

const COMMAND: CommandSpec<typeof SPEC> = {
  name: 'chaos',
  does: 'Attacks a cluster of real processes and judges what its clients saw; both by default.',
  words: SCENARIOS,
  options: SPEC,
};

export const HELP = helpOf(COMMAND);

export interface Options {
  readonly scenarios: readonly Scenario[];
  readonly kills: number;
  readonly betweenMs: number;
  readonly nodes: number;
  readonly json: boolean;
  readonly check: string | undefined;
}

/** Undefined: only the help was asked for. */
export function readOptions(args: readonly string[]): Options | undefined {
  const { help, values, words }: CommandLine<typeof SPEC> = readCommandLine(COMMAND, args);
  if (help) return undefined;
  const { check, json, nodes, short } = values;
  if (nodes % 2 === 0) throw new UsageError(`--nodes ${nodes}: must be 3, 5 or 7`);
  const scenarios = SCENARIOS.filter((scenario) => words.includes(scenario));
  const usual = { kills: scenarios.length > 0 ? 20 : 5, between: 2 };
  const defaults = short ? { kills: 3, between: 1 } : usual;
  return {
    scenarios: scenarios.length > 0 ? scenarios : SCENARIOS,
    kills: values.kills ?? defaults.kills,
    betweenMs: 1000 * (values['seconds-between'] ?? defaults.between),
    nodes,
    json,
    check,
  };
}
