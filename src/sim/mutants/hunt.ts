/** Looks for every planted bug, by seeds or by its test, and writes the table of what found it. */
import { spawnSync } from 'node:child_process';
import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Failure } from '../../failure.ts';
import { packageRoot } from '../../package-root.ts';
import { runPool } from '../pool.ts';
import { MUTANTS, type Mutant } from './list.ts';
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

/** The lowest failing seed: those below it were all tried. */
export async function bySeeds(
  mutant: Mutant,
  { jobs, seedsMax = SEEDS_MAX }: HuntOptions,
): Promise<string | undefined> {
  const { worker, remove } = plantCompiled(mutant);
  let given = 0;
  let found: { seed: number; failure: string } | undefined;
  try {
    await runPool({
      jobs,
      worker,
      options: { faultMs: MUTANT_FAULT_MS },
      next: () => (found === undefined && given < seedsMax ? ++given : undefined),
      onResult: ({ seed, failure }) => {
        if (failure === undefined || (found !== undefined && found.seed < seed)) return;
        found = { seed, failure };
      },
    });
  } finally {
    remove();
  }
  if (found === undefined) return undefined;
  const count = found.seed === 1 ? '1 seed' : `${found.seed} seeds`;
  return `${count}: ${nameOf(found.failure)}`;
}

/** The invariant, or what the code itself said as it stopped. */
function nameOf(failure: string): string {
  const [headline = ''] = failure.split('\n');
  const [name = '', detail = ''] = headline.split(': ');
  return /Error\b/.test(name) ? `stopped with "${detail}"` : name;
}

/** The test passes on the code as it is, and must fail on the mutant. */
export function byTest(
  mutant: Mutant,
  { file, name }: NonNullable<Mutant['test']>,
): string | undefined {
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
    'with one place changed (`src/sim/mutants/list.ts`), in a copy; the code itself carries no',
    'switches. Found by: the first failing seed of the simulator and the invariant it broke, or a',
    `named test. \`holdfast sim --mutant '<name>' --seed <n> --fault-ms ${MUTANT_FAULT_MS}\` shows`,
    'one.',
    '',
    '| bug | in | found by |',
    '|---|---|---|',
    ...rows,
    '',
  ].join('\n');
}
