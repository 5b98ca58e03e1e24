/** Looks for every planted bug, by seeds or by its test, and writes the table of what found it. */
import { spawnSync } from 'node:child_process';
import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Failure } from '../../failure.ts';
import { packageRoot } from '../../package-root.ts';
import { runPool } from '../pool.ts';
import { MUTANTS } from './list.ts';
import type { Mutant } from './mutant.ts';
import { plantCompiled, plantSources } from './plant.ts';

/** Reliability section 7, point 8. */
export const SEEDS_MAX = 10_000;
const MUTANT_FAULT_MS = 8000;

export interface HuntOptions {
  readonly jobs: number;
  readonly seedsMax?: number;
  readonly say: (line: string) => void;
}

export interface Finding {
  readonly mutant: Mutant;
  /** undefined = it survived. */
  readonly foundBy: string | undefined;
}

export function mutantNamed(name: string): Mutant {
  const found = MUTANTS.find((mutant) => mutant.name === name);
  if (found !== undefined) return found;
  throw new Failure(`no mutant is called that; known: ${MUTANTS.map((m) => m.name).join('; ')}`);
}

/** Runs `use` with the worker of a simulator that has the bug. */
export async function withMutant(name: string, use: (worker: URL) => Promise<void>): Promise<void> {
  const { worker, remove } = plantCompiled(mutantNamed(name));
  try {
    await use(worker);
  } finally {
    remove();
  }
}

/** Names of those that were not found. */
export async function huntMutants(options: HuntOptions): Promise<readonly string[]> {
  const findings: Finding[] = [];
  for (const mutant of MUTANTS) {
    const foundBy = await hunt(mutant, options);
    findings.push({ mutant, foundBy });
    options.say(`${mutant.name}: ${foundBy ?? 'NOT FOUND'}`);
  }
  const page = join(packageRoot(), 'docs', 'mutants.md');
  if (existsSync(join(packageRoot(), 'docs'))) writeFileSync(page, mutantsPage(findings));
  return findings.filter(({ foundBy }) => foundBy === undefined).map(({ mutant }) => mutant.name);
}

async function hunt(mutant: Mutant, options: HuntOptions): Promise<string | undefined> {
  return mutant.test === undefined ? bySeeds(mutant, options) : byTest(mutant, mutant.test);
}

interface FailedSeed {
  readonly seed: number;
  readonly failure: string;
}

const RUN_OPTIONS = { faultMs: MUTANT_FAULT_MS };

/** The first seed that fails with the bug and passes without it. */
async function bySeeds(
  mutant: Mutant,
  { jobs, seedsMax = SEEDS_MAX }: HuntOptions,
): Promise<string | undefined> {
  const { worker, remove } = plantCompiled(mutant);
  try {
    for (let from = 1; from <= seedsMax; ) {
      const found = await firstFailure(worker, from, seedsMax, jobs);
      if (found === undefined) return undefined;
      const { seed, failure } = found;
      const count = seed === 1 ? '1 seed' : `${seed} seeds`;
      if (await passesWithout(seed)) return `${count}: ${nameOf(failure)}`;
      from = seed + 1;
    }
    return undefined;
  } finally {
    remove();
  }
}

/** The lowest one: those below it were all tried. */
async function firstFailure(
  worker: URL,
  from: number,
  through: number,
  jobs: number,
): Promise<FailedSeed | undefined> {
  let next = from;
  let found: FailedSeed | undefined;
  await runPool({
    jobs,
    worker,
    options: RUN_OPTIONS,
    next: () => (found === undefined && next <= through ? next++ : undefined),
    onResult: ({ seed, failure }) => {
      if (failure === undefined || (found !== undefined && found.seed < seed)) return;
      found = { seed, failure };
    },
  });
  return found;
}

async function passesWithout(seed: number): Promise<boolean> {
  const seeds = [seed];
  let passes = false;
  await runPool({
    jobs: 1,
    options: RUN_OPTIONS,
    next: () => seeds.pop(),
    onResult: ({ ok }) => {
      passes = ok;
    },
  });
  return passes;
}

/** The invariant, or what the code itself said as it stopped. */
function nameOf(failure: string): string {
  const [headline = ''] = failure.split('\n');
  const [name = '', detail = ''] = headline.split(': ');
  return /Error\b/.test(name) ? `stopped with "${detail}"` : name;
}

/** The test passes on the code as it is, and must fail on the mutant. */
function byTest(mutant: Mutant, { file, name }: NonNullable<Mutant['test']>): string | undefined {
  const { directory, remove } = plantSources(mutant);
  try {
    const vitest = join(packageRoot(), 'node_modules', 'vitest', 'vitest.mjs');
    const words = ['run', '--root', directory, file, '-t', name];
    const run = spawnSync('node', [vitest, ...words], { cwd: directory, encoding: 'utf8' });
    const hasFailed = run.status === 1 && /1 failed/.test(run.stdout);
    return hasFailed ? `test "${name}" (${file})` : undefined;
  } finally {
    remove();
  }
}

export function mutantsPage(findings: readonly Finding[]): string {
  const found = findings.filter(({ foundBy }) => foundBy !== undefined).length;
  const rows = findings.map(
    ({ mutant, foundBy }) => `| ${mutant.name} | \`${mutant.file}.ts\` | ${foundBy ?? '**no**'} |`,
  );
  return [
    '# Planted bugs, and what finds them',
    '',
    `Written by \`npm run mutants\`: ${found} of ${findings.length} found. Each is the real code`,
    'with one place changed (`src/sim/mutants/`), in a copy; the code itself carries no',
    'switches. Found by: the first seed that fails with the bug and passes without it, and the',
    'invariant it broke, or a named test. To see one:',
    '',
    '```sh',
    `npm run sim -- --mutant '<bug>' --seed <n> --fault-ms ${MUTANT_FAULT_MS}`,
    '```',
    '',
    '| bug | in | found by |',
    '|---|---|---|',
    ...rows,
    '',
  ].join('\n');
}
