/**
 * `npm run chaos:matrix`: every fault alone and every composite, on 3 and 5 nodes, one after the
 * other. Takes hours; what has passed is not run again, so it can be broken off and resumed.
 */
import { spawn } from 'node:child_process';
import { randomInt } from 'node:crypto';
import { once } from 'node:events';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type CleanUp, runCommand } from '../../test/processes/command.ts';
import { choice, flag, number, text, type ValuesOf } from '../../test/processes/options.ts';
import { EXIT_CODES, exitCode } from '../report.ts';
import { SEED_MAX } from '../run/random.ts';
import type { Verdict } from '../verdict.ts';
import { type Cell, cellsFor } from './cells.ts';
import { appendResult, keyOf, type Outcome, type Result, readResults } from './results.ts';
import { tableOf } from './table.ts';

const COMMAND = {
  name: 'chaos:matrix',
  does: 'Every fault alone and every composite, against clusters of 3 and of 5 nodes.',
  options: {
    seconds: number(120, 'time with faults of each run', { min: 1, max: 86_400 }),
    nodes: choice(['3,5', '3', '5'], '3,5', 'sizes of the cluster'),
    jobs: number(1, 'runs at the same time', { min: 1, max: 8, whole: true }),
    only: text('TEXT', '', 'only what has it in its name'),
    results: text('FILE', 'chaos-matrix.jsonl', 'gets a line per run; what passed is not repeated'),
    table: flag('run nothing; print the results as a Markdown table'),
  },
};
type Options = ValuesOf<typeof COMMAND.options>;

const CHAOS = join(dirname(fileURLToPath(import.meta.url)), '..', 'main.js');

interface Matrix {
  readonly options: Options;
  readonly cleanUp: CleanUp;
  /** Aborted when the command is to end. */
  readonly told: AbortController;
  /** Those that wait. */
  readonly cells: Cell[];
  readonly verdicts: Verdict[];
}

/** Resolves with what `chaos run --json` printed; undefined when it broke down. */
async function run(
  { scenario, fault, nodes }: Cell,
  { options: { seconds }, cleanUp, told }: Matrix,
): Promise<Outcome | undefined> {
  const asked = { nodes, seconds, seed: randomInt(SEED_MAX), ...(fault && { faults: fault }) };
  const flags = Object.entries(asked).flatMap(([name, value]) => [`--${name}`, `${value}`]);
  const child = spawn(process.execPath, [CHAOS, 'run', scenario, '--json', ...flags], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  // It ends its cluster in order.
  cleanUp.add(() => {
    told.abort();
    return child.kill('SIGTERM') && once(child, 'exit');
  });
  let printed = '';
  for await (const chunk of child.stdout) printed += chunk;
  return printed === '' ? undefined : (JSON.parse(printed) as Outcome);
}

async function lane(matrix: Matrix): Promise<void> {
  const { cells, verdicts, options, told } = matrix;
  for (let cell = cells.shift(); cell !== undefined; cell = cells.shift()) {
    const outcome = await run(cell, matrix);
    // What was broken off says nothing.
    if (told.signal.aborted) return;
    verdicts.push(outcome?.verdict ?? 'invalid');
    console.log(`${keyOf(cell)}: ${verdicts.at(-1)} (${cells.length} wait)`);
    for (const reason of outcome?.reasons ?? []) console.log(`  ${reason}`);
    if (outcome !== undefined) appendResult(options.results, { cell: keyOf(cell), ...outcome });
  }
}

function hasPassed(results: readonly Result[], cell: Cell): boolean {
  return results.some((result) => result.cell === keyOf(cell) && result.verdict === 'pass');
}

async function matrix(options: Options, cleanUp: CleanUp): Promise<number> {
  const { nodes, only, table, jobs } = options;
  const all = cellsFor(nodes.split(',').map((size) => Number(size) as Cell['nodes']));
  const wanted = all.filter(({ name }) => name.includes(only));
  if (table) {
    console.log(tableOf(wanted, readResults(options.results)));
    return EXIT_CODES.pass;
  }
  const done = readResults(options.results);
  const cells = wanted.filter((cell) => !hasPassed(done, cell));
  const verdicts: Verdict[] = cells.length === 0 ? ['pass'] : [];
  const shared = { options, cleanUp, told: new AbortController(), cells, verdicts };
  await Promise.all(Array.from({ length: jobs }, () => lane(shared)));
  return exitCode(verdicts);
}

await runCommand(COMMAND, matrix);
