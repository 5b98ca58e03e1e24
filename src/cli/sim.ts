/** `holdfast sim`: whole clusters from seeds; a broken invariant is replayed by its seed. */
import { execFileSync } from 'node:child_process';
import { availableParallelism } from 'node:os';
import { type Command, InvalidArgumentError } from 'commander';
import { ExitCode, Failure } from '../failure.ts';
import { packageRoot, packageVersion } from '../package-root.ts';
import { huntMutants, withMutant } from '../sim/mutants/hunt.ts';
import { REMOVABLE } from '../sim/narrow.ts';
import type { SimOptions } from '../sim/options.ts';
import { runPool } from '../sim/pool.ts';
import { type ReportOptions, replayLine, type SimVerdict, Tally } from '../sim/report.ts';
import type { SimResult } from '../sim/run.ts';
import { shrink } from '../sim/shrink.ts';
import { LEGEND } from '../sim/trace.ts';
import { wholeNumber } from './options.ts';

const SEED_MAX = 2 ** 32 - 1;
const DEFAULT_COUNT = 100;
const PROGRESS_EVERY_MS = 2000;
const TRACE_LINES_MAX = 1_000_000;
const TRACE_TAIL_LINES = 60;

interface SimCommandOptions {
  readonly seed?: number;
  readonly count?: number;
  readonly minutes?: number;
  readonly nodes?: number;
  readonly shards?: number;
  readonly faultMs?: number;
  readonly without?: readonly string[];
  readonly jobs?: number;
  readonly json: boolean;
  readonly trace: boolean;
  readonly shrink: boolean;
  readonly mutant?: string;
  readonly mutants: boolean;
}

export function registerSim(program: Command): void {
  program
    .command('sim')
    .description('simulate clusters under faults and check every invariant')
    .option('--seed <n>', 'one history; with --count the first of many', wholeNumber(0, SEED_MAX))
    .option('--count <m>', `how many seeds (default: ${DEFAULT_COUNT})`, wholeNumber(1, SEED_MAX))
    .option('--minutes <m>', 'as many seeds as fit into that time', wholeNumber(1, 10_000))
    .option('--nodes <n>', 'machines (default: drawn by the seed)', wholeNumber(1, 7))
    .option('--shards <n>', 'shards (default: drawn by the seed)', wholeNumber(1, 8))
    .option('--fault-ms <ms>', 'virtual time with faults', wholeNumber(100, 10_000_000))
    .option('--without <kinds>', 'kinds of faults and operations, by commas', removable)
    .option('--jobs <n>', 'threads (default: one per processor)', wholeNumber(1, 256))
    .option('--json', 'the verdict as one JSON object', false)
    .option('--trace', 'print what happened (one seed only)', false)
    .option('--no-shrink', 'leave a failing history as it is')
    .option('--mutant <name>', 'with a planted bug (docs/mutants.md): must fail')
    .option('--mutants', 'hunt every planted bug and write docs/mutants.md', false)
    .action(sim);
}

function removable(text: string): readonly string[] {
  const names = text.split(',').filter((name) => name !== '');
  const unknown = names.filter((name) => !REMOVABLE.includes(name));
  if (unknown.length === 0) return names;
  throw new InvalidArgumentError(`unknown: ${unknown.join(', ')}; known: ${REMOVABLE.join(', ')}.`);
}

/** Version and commit: what a seed means depends on the code. */
function buildName(): string {
  const version = `holdfast ${packageVersion()}`;
  try {
    const git = ['-C', packageRoot(), 'rev-parse', '--short=10', 'HEAD'];
    const commit = execFileSync('git', git, { stdio: ['ignore', 'pipe', 'ignore'] });
    return `${version}, commit ${commit.toString().trim()}`;
  } catch {
    return version;
  }
}

async function sim(command: SimCommandOptions): Promise<void> {
  const jobs = command.jobs ?? availableParallelism();
  if (command.mutants) {
    const survivors = await huntMutants({
      jobs,
      ...(command.count === undefined ? {} : { seedsMax: command.count }),
      say: (line) => console.error(line),
    });
    if (survivors.length > 0) throw new Failure(`not found: ${survivors.join(', ')}`);
    return;
  }
  if (command.mutant === undefined) await simulate(command, jobs, undefined);
  else await withMutant(command.mutant, (worker) => simulate(command, jobs, worker));
}

async function simulate(
  command: SimCommandOptions,
  jobs: number,
  worker: URL | undefined,
): Promise<void> {
  const { mutant, json, trace } = command;
  const options = optionsOf(command);
  const report: ReportOptions = {
    options,
    build: buildName(),
    ...(mutant === undefined ? {} : { mutant }),
  };
  const tally = new Tally(report);
  const runOne = (seed: number, shape: Partial<SimOptions>): Promise<SimResult> =>
    runSingle(seed, { ...options, ...shape }, worker);
  if (trace && command.count === undefined) {
    const result = await runOne(command.seed ?? 1, { traceLines: TRACE_LINES_MAX });
    console.log([...LEGEND, '', ...(result.trace ?? [])].join('\n'));
    tally.add(result);
  } else await runMany(command, jobs, worker, options, tally);
  const verdict = tally.verdict();
  console.log(json ? JSON.stringify(verdict) : describeVerdict(verdict));
  const [first] = verdict.failures;
  if (first !== undefined) {
    if (!trace) await explain(first.seed, report, runOne, command.shrink);
    throw new Failure(describeFailures(verdict));
  }
  if (verdict.verdict === 'invalid') throw new Failure(verdict.reason ?? '', ExitCode.invalidRun);
}

function optionsOf(command: SimCommandOptions): Partial<SimOptions> {
  const { nodes, shards, faultMs, without } = command;
  return {
    ...(nodes === undefined ? {} : { nodes }),
    ...(shards === undefined ? {} : { shards }),
    ...(faultMs === undefined ? {} : { faultMs }),
    ...(without === undefined ? {} : { without }),
  };
}

async function runSingle(
  seed: number,
  options: Partial<SimOptions>,
  worker: URL | undefined,
): Promise<SimResult> {
  let found: SimResult | undefined;
  const seeds = [seed];
  await runPool({
    jobs: 1,
    options,
    ...(worker === undefined ? {} : { worker }),
    next: () => seeds.pop(),
    onResult: (result) => {
      found = result;
    },
  });
  if (found === undefined) throw new Failure('the simulation gave no result');
  return found;
}

async function runMany(
  { seed, count, minutes }: SimCommandOptions,
  jobs: number,
  worker: URL | undefined,
  options: Partial<SimOptions>,
  tally: Tally,
): Promise<void> {
  const first = seed ?? 1;
  const isSingle = seed !== undefined && count === undefined && minutes === undefined;
  const many = count ?? (minutes === undefined ? (isSingle ? 1 : DEFAULT_COUNT) : SEED_MAX);
  const beganMs = performance.now();
  const untilMs = beganMs + (minutes ?? Number.POSITIVE_INFINITY) * 60_000;
  let given = 0;
  let saidAtMs = beganMs;
  await runPool({
    jobs: Math.min(jobs, many),
    options,
    ...(worker === undefined ? {} : { worker }),
    next: () => (given < many && performance.now() < untilMs ? first + given++ : undefined),
    onResult: (result) => {
      tally.add(result);
      if (!result.ok) console.error(`seed ${result.seed}: ${headline(result.failure)}`);
      const nowMs = performance.now();
      if (nowMs - saidAtMs < PROGRESS_EVERY_MS) return;
      saidAtMs = nowMs;
      const perSecond = (1000 * tally.seeds) / (nowMs - beganMs);
      const of = minutes === undefined || count !== undefined ? ` of ${many}` : '';
      console.error(`${tally.seeds}${of} seeds, ${perSecond.toFixed(1)} a second`);
    },
  });
}

/** The end of the trace, and a smaller history that fails alike. Stdout is for the verdict. */
async function explain(
  seed: number,
  report: ReportOptions,
  runOne: (seed: number, options: Partial<SimOptions>) => Promise<SimResult>,
  shrinks: boolean,
): Promise<void> {
  const failed = await runOne(seed, { traceLines: TRACE_TAIL_LINES });
  const invariant = invariantOf(failed.failure);
  if (invariant === undefined) {
    console.error(`seed ${seed} did not fail again: this is a bug of the simulator itself`);
    return;
  }
  console.error([`the end of seed ${seed}:`, ...LEGEND, ...(failed.trace ?? [])].join('\n'));
  if (!shrinks) return;
  console.error('making it smaller ...');
  const { shape, runs } = await shrink(
    report.options,
    failed.shape,
    invariant,
    REMOVABLE,
    async (smaller) => invariantOf((await runOne(seed, smaller)).failure),
  );
  if (shape === undefined) {
    console.error(`none of ${runs} smaller histories broke ${invariant}`);
    return;
  }
  const line = replayLine(seed, { ...report, options: { ...report.options, ...shape } });
  const needed = REMOVABLE.filter((name) => !(shape.without ?? []).includes(name));
  console.error(`smaller, and was seen to break ${invariant}, after ${runs} runs: ${line}`);
  console.error(`it needs: ${needed.length === 0 ? 'no fault' : needed.join(', ')}`);
}

function invariantOf(failure: string | undefined): string | undefined {
  return failure === undefined ? undefined : headline(failure).split(':')[0];
}

function headline(failure = ''): string {
  return failure.split('\n')[0] ?? '';
}

function describeVerdict(verdict: SimVerdict): string {
  const { acked, lost, duplicated, seeds, stats, coverage } = verdict;
  const sums = Object.entries({ acked, lost, duplicated, ...stats });
  const rarest = Object.entries(coverage).slice(0, 5);
  return [
    `${verdict.verdict}: ${seeds} seeds, ${sums.map(([name, sum]) => `${name} ${sum}`).join(', ')}`,
    `rarest: ${rarest.map(([name, share]) => `${name} ${(100 * share).toFixed(1)} %`).join(', ')}`,
  ].join('\n');
}

function describeFailures({ failures, failed_seeds }: SimVerdict): string {
  const [first] = failures;
  const broken = `${failed_seeds} histories broke an invariant; seed ${first?.seed}:`;
  return `${broken} ${headline(first?.failure)}; replay: ${first?.replay}`;
}
