/** Scenarios as plain files: what is not understood is refused with a sentence. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parse, YAMLParseError } from 'yaml';
import { z } from 'zod';
import { UsageError } from '../../test/processes/options.ts';
import { packageFolder } from '../../test/processes/package-folder.ts';
import { NEMESES } from '../nemesis/list.ts';
import { WORKLOADS } from '../workload/workload.ts';

const NAME = /^[a-z0-9]+(?:-[a-z0-9]+)*$/;
const SECONDS_MAX = 86_400;
export const RATE_MAX = 100_000;

/** How far an acknowledged write has got, as the topic of the run asks for it. */
export const LEVELS = ['majority_fsync', 'majority', 'leader', 'none'] as const;
export type Level = (typeof LEVELS)[number];

const seconds = z.number().min(0).max(SECONDS_MAX);
const fault = z.string().refine((name) => NEMESES.some((nemesis) => nemesis.name === name), {
  error: ({ input }) => `there is no fault ${String(input)}; holdfast chaos list names all`,
});
const faults = z.array(fault).min(1);

const frame = {
  name: z.string().regex(NAME, 'must be small letters, digits and single dashes'),
  does: z.string().min(1),
  nodes: z.literal([3, 5]).default(3),
  level: z.enum(LEVELS).default('majority_fsync'),
  /** Write requests a second that the load aims at; 0 = as many as it can. */
  rate: z.number().int().min(0).max(RATE_MAX).default(250),
  workload: z.enum(WORKLOADS).default('mixed'),
  /** Of the nodes, over their configuration: log.segmentBytes and the like. */
  settings: z.record(z.string(), z.union([z.string(), z.number(), z.boolean()])).default({}),
  warmUpSeconds: seconds.default(3),
  seconds: seconds.default(60),
  gapSeconds: seconds.default(2),
  holdSeconds: z
    .tuple([seconds, seconds])
    .refine(([least, most]) => least <= most, 'must be [least, most]')
    .default([2, 5]),
};

const scenarioSchema = z.union([
  z
    .strictObject({ ...frame, faults, together: z.number().int().min(1).default(1) })
    .refine(({ faults: known }) => new Set(known).size === known.length, {
      error: 'faults: each only once',
    })
    .refine(({ faults: known, together }) => together <= known.length, {
      error: 'together: more than there are faults',
    }),
  z.strictObject({ ...frame, steps: z.array(faults).min(1) }),
]);

export type Scenario = z.output<typeof scenarioSchema>;

export function readScenario(file: string): Scenario {
  return scenarioFrom(readFileSync(file, 'utf8'), file);
}

/** `where` is named when something is wrong with it. */
export function scenarioFrom(text: string, where: string): Scenario {
  const result = scenarioSchema.safeParse(parsed(text, where));
  if (result.success) return result.data;
  throw new UsageError(`${where}: ${complaint(result.error.issues)}`);
}

function parsed(text: string, where: string): unknown {
  try {
    return parse(text);
  } catch (error) {
    if (!(error instanceof YAMLParseError)) throw error;
    throw new UsageError(`${where}: ${error.message.split('\n')[0]}`);
  }
}

type Issue = z.core.$ZodIssue;

/** Of the two forms the one that was meant: that with the fewer complaints. */
function complaint(issues: readonly Issue[]): string {
  const [issue] = issues;
  if (issue?.code === 'invalid_union' && issue.errors.length > 0) {
    const [nearest] = [...issue.errors].sort((a, b) => a.length - b.length);
    return complaint(nearest ?? []);
  }
  const path = issue?.path.join('.') ?? '';
  return path === '' ? (issue?.message ?? '') : `${path}: ${issue?.message}`;
}

export function scenarioFolder(): string {
  return join(packageFolder(), 'chaos', 'scenarios');
}

/** Those that come with the package, by name. */
export function knownScenarios(): readonly Scenario[] {
  const folder = scenarioFolder();
  const files = readdirSync(folder).filter((name) => name.endsWith('.yaml'));
  return files.sort().map((name) => readScenario(join(folder, name)));
}

/** A name that comes with the package, or a file of the user's own. */
export function findScenario(word: string): Scenario {
  const isFile = word.includes('/') || word.endsWith('.yaml');
  const file = isFile ? word : join(scenarioFolder(), `${word}.yaml`);
  if (existsSync(file)) return readScenario(file);
  const text = isFile ? `${word} does not exist` : `there is no scenario ${word}`;
  throw new UsageError(`${text}; holdfast chaos list shows all, and a file is one, too`);
}
