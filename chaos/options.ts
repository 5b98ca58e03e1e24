/** The command line of `holdfast chaos …`, which is that of `npm run chaos -- …`, too. */
import {
  type CommandSpec,
  flag,
  helpOf,
  number,
  readCommandLine,
  text,
  UsageError,
  type ValuesOf,
} from '../test/processes/options.ts';
import { nemesisNamed } from './nemesis/list.ts';
import { SEED_MAX } from './run/random.ts';
import { findScenario, LEVELS, type Level, RATE_MAX, type Scenario } from './run/scenario-file.ts';
import { nemesesOf } from './run/schedule.ts';

/** One of each family; together about five minutes. */
const SHORT = {
  names: [
    'kill-leader',
    'kill-all',
    'pause-leader',
    'isolate-leader',
    'halves',
    'slow-network',
    'power-cut-all',
    'disk-faults',
    'members',
  ],
  seconds: 20,
};

const SPEC = {
  nodes: number(undefined, 'nodes of the cluster: 3 or 5, else as the scenario says', {
    ...{ min: 3, max: 5, whole: true },
  }),
  level: text('LEVEL', undefined, 'what an ack means, else as the scenario says'),
  seconds: number(undefined, 'time with faults, else as the scenario says', { max: 86_400 }),
  rate: number(undefined, 'writes a second that the load aims at, 0 = all it can', {
    ...{ max: RATE_MAX, whole: true },
  }),
  faults: text('A,B,…', undefined, 'only these faults of a scenario that draws its faults'),
  seed: number(undefined, 'the same seed plans the same faults', { max: SEED_MAX, whole: true }),
  short: flag(
    `the form for every check-in: ${SHORT.names.length} scenarios, ${SHORT.seconds} s each`,
  ),
  servers: text(
    'HOST:PORT,...',
    '',
    'all nodes of a running cluster: only client links are broken',
  ),
  json: flag('one line of JSON per scenario'),
  keep: flag('keep data, logs and history of runs that pass, too'),
};

const FORMS = [
  'holdfast chaos list               the scenarios, and the faults that they are made of',
  'holdfast chaos run NAME|FILE...   attacks a cluster of its own and judges what clients saw',
  'holdfast chaos check FILE         judges a history.jsonl again; writes report.html beside it',
];

const COMMAND: CommandSpec<typeof SPEC> = { name: 'chaos', does: '', options: SPEC };

/** The forms of the command, then the options. */
export const HELP = [...FORMS, ...helpOf(COMMAND).split('\n').slice(2)].join('\n');

export interface RunOptions {
  readonly command: 'run';
  readonly scenarios: readonly Scenario[];
  /** Undefined: to be drawn, and shown. */
  readonly seed: number | undefined;
  /** Of a running cluster; undefined: one of its own is started. */
  readonly servers: readonly string[] | undefined;
  readonly json: boolean;
  readonly keep: boolean;
}

export type Options =
  | { readonly command: 'help' | 'list' }
  | { readonly command: 'check'; readonly files: readonly string[]; readonly json: boolean }
  | RunOptions;

export function readOptions(args: readonly string[]): Options {
  // Any word goes by here: what it may be depends on the first one.
  const { help, values, words } = readCommandLine({ ...COMMAND, words: args }, args);
  const { json, short } = values;
  const [command = short ? 'run' : 'help', ...names] = words;
  if (help || command === 'help') return { command: 'help' };
  if (command === 'list') return { command: 'list' };
  if (command === 'check') {
    if (names.length === 0) throw new UsageError('check needs a FILE: the history.jsonl of a run');
    return { command: 'check', files: names, json };
  }
  if (command !== 'run') throw new UsageError(`what is '${command}'? there are list, run, check`);
  const asked = short ? SHORT.names : names;
  if (asked.length === 0) throw new UsageError('run needs the NAME of a scenario; list shows all');
  return {
    command: 'run',
    scenarios: asked.map((name) => adapted(narrowed(findScenario(name), values), values)),
    ...{ seed: values.seed, json, keep: values.keep },
    servers: values.servers === '' ? undefined : values.servers.split(','),
  };
}

type Wanted = ValuesOf<typeof SPEC>;

/** The scenario with what the command line wants otherwise. */
function adapted(scenario: Scenario, wanted: Wanted): Scenario {
  const { nodes, level, seconds, rate, short, servers } = wanted;
  if (servers !== '') assertFromOutside(scenario);
  if (nodes === 4) throw new UsageError('--nodes 4: must be 3 or 5');
  const size = (nodes ?? scenario.nodes) as Scenario['nodes'];
  for (const { name, nodesMin = 3 } of nemesesOf(scenario).map(nemesisNamed)) {
    if (size >= nodesMin) continue;
    throw new UsageError(
      `${scenario.name} needs ${nodesMin} nodes: ${name} has no shape with less`,
    );
  }
  const time = short ? SHORT.seconds : scenario.seconds;
  return {
    ...scenario,
    ...{ nodes: size, seconds: seconds ?? time, rate: rate ?? scenario.rate },
    level: levelNamed(level) ?? scenario.level,
  };
}

function narrowed(scenario: Scenario, { faults: names }: Pick<Wanted, 'faults'>): Scenario {
  if (names === undefined) return scenario;
  const faults = names.split(',');
  if (!('faults' in scenario)) {
    throw new UsageError(`--faults: ${scenario.name} has steps of its own, and draws nothing`);
  }
  const strange = faults.find((fault) => !scenario.faults.includes(fault));
  if (strange !== undefined) {
    const known = scenario.faults.join(', ');
    throw new UsageError(`--faults: ${scenario.name} has no fault '${strange}'; it has ${known}`);
  }
  const together = Math.min(scenario.together, faults.length);
  return { ...scenario, together, faults: [...new Set(faults)] };
}

function levelNamed(name: string | undefined): Level | undefined {
  const found = LEVELS.find((level) => level === name);
  if (found !== undefined || name === undefined) return found;
  throw new UsageError(`--level ${name}: must be one of ${LEVELS.join(', ')}`);
}

/** Processes, disks and the links between nodes of a running cluster are not ours. */
function assertFromOutside(scenario: Scenario): void {
  const inside = nemesesOf(scenario)
    .map(nemesisNamed)
    .find(({ needs }) => needs.some((need) => need !== 'client-links'));
  if (inside !== undefined) {
    throw new UsageError(`--servers: ${inside.name} cannot be done to a running cluster`);
  }
  if (Object.keys(scenario.settings).length > 0) {
    throw new UsageError('--servers: a running cluster has settings of its own');
  }
}
