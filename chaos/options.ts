/** The command line of `npm run chaos -- …`. */
import { parseArgs } from 'node:util';
import { SCENARIOS, type Scenario } from './nemesis.ts';

export const USAGE = `usage: npm run chaos -- [${SCENARIOS.join('|')}] [options]
  --kills N             kills per scenario (20; 5 when no scenario is named)
  --seconds-between N   load between two kills (2)
  --nodes N             nodes of the cluster: 3, 5 or 7 (3)
  --short               the form for every check-in: 3 kills, 1 s between
  --json                one line of JSON per scenario
  --check FILE          judge a history.jsonl again, start nothing`;

export interface Options {
  readonly scenarios: readonly Scenario[];
  readonly kills: number;
  readonly betweenMs: number;
  readonly nodes: number;
  readonly json: boolean;
  readonly check: string | undefined;
}

export class UsageError extends Error {}

const SPEC = {
  kills: { type: 'string' },
  'seconds-between': { type: 'string' },
  nodes: { type: 'string' },
  short: { type: 'boolean' },
  json: { type: 'boolean' },
  check: { type: 'string' },
} as const;

export function readOptions(args: readonly string[]): Options {
  const { values, positionals } = parse(args);
  const scenarios = positionals.map(scenarioOf);
  const short = values.short === true;
  const defaults = { kills: short ? 3 : scenarios.length > 0 ? 20 : 5, between: short ? 1 : 2 };
  const nodes = number('--nodes', values.nodes, 3);
  if (![3, 5, 7].includes(nodes)) throw new UsageError(`--nodes ${nodes}: must be 3, 5 or 7`);
  const kills = number('--kills', values.kills, defaults.kills);
  if (!Number.isInteger(kills)) throw new UsageError(`--kills ${kills}: must be a whole number`);
  return {
    scenarios: scenarios.length > 0 ? scenarios : SCENARIOS,
    kills,
    betweenMs: 1000 * number('--seconds-between', values['seconds-between'], defaults.between),
    nodes,
    json: values.json === true,
    check: values.check,
  };
}

function parse(args: readonly string[]) {
  try {
    return parseArgs({ args: [...args], options: SPEC, allowPositionals: true });
  } catch (error) {
    throw new UsageError((error as Error).message);
  }
}

function scenarioOf(name: string): Scenario {
  const found = SCENARIOS.find((scenario) => scenario === name);
  if (found !== undefined) return found;
  throw new UsageError(`no scenario '${name}': there are ${SCENARIOS.join(', ')}`);
}

function number(name: string, text: string | undefined, otherwise: number): number {
  if (text === undefined) return otherwise;
  const value = text.trim() === '' ? Number.NaN : Number(text);
  if (Number.isFinite(value) && value >= 0 && value <= 10_000) return value;
  throw new UsageError(`${name} ${text}: must be a number from 0 to 10000`);
}
