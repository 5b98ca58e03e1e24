/**
 * `npm run bench`: each row against the ceiling and against Holdfast in turn, in the same minutes;
 * the figures are medians over the rounds, and the ratio is taken round by round.
 */
import { mkdirSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type CleanUp, runCommand } from '../test/processes/command.ts';
import { flag, number, text, UsageError, type ValuesOf } from '../test/processes/options.ts';
import { median, percentile } from './percentiles.ts';
import { PRODUCE_WORKLOADS } from './produce-workloads.ts';
import type { DurabilityClass } from './raw-calls.ts';
import { READ_WORKLOADS } from './read-workloads.ts';
import { startCeiling, startHoldfast, type Target } from './targets.ts';
import type { Sample, Workload } from './workload.ts';

interface Figures {
  readonly msgs_per_s: number;
  readonly mb_per_s: number;
  readonly p50_ms: number;
  readonly p99_ms: number;
}

interface Row extends Figures {
  readonly workload: string;
  readonly durability: DurabilityClass;
  readonly ceiling_msgs_per_s: number;
  readonly ceiling_p50_ms: number;
  readonly ratio_to_ceiling: number;
}

const COMMAND = {
  name: 'bench',
  does: 'Throughput and latency of three nodes, beside the ceiling that the same libraries allow.',
  options: {
    seconds: number(3, 'how long each row is measured, per round', { min: 0.1, max: 3600 }),
    rounds: number(3, 'rounds per row; the median counts', { min: 1, max: 100, whole: true }),
    only: text('TEXT', '', 'only rows whose name contains it'),
    data: text('DIR', tmpdir(), 'where the data is kept meanwhile'),
    json: flag('the rows as JSON, at the end'),
  },
};
type Options = ValuesOf<typeof COMMAND.options>;

function figuresOf(sample: Sample): Figures {
  return {
    msgs_per_s: sample.messages / sample.seconds,
    mb_per_s: sample.bytes / sample.seconds / 1e6,
    p50_ms: percentile(sample.latenciesMs, 0.5),
    p99_ms: percentile(sample.latenciesMs, 0.99),
  };
}

function ratio(workload: Workload, holdfast: Figures, ceiling: Figures): number {
  if (workload.compares === 'latency') return ceiling.p50_ms / holdfast.p50_ms;
  return holdfast.mb_per_s / ceiling.mb_per_s;
}

function medianOf(all: readonly Figures[]): Figures {
  const of = (field: keyof Figures): number => median(all.map((figures) => figures[field]));
  return {
    msgs_per_s: of('msgs_per_s'),
    mb_per_s: of('mb_per_s'),
    p50_ms: of('p50_ms'),
    p99_ms: of('p99_ms'),
  };
}

async function measure(
  workload: Workload,
  durability: DurabilityClass,
  targets: readonly [Target, Target],
  { rounds, seconds }: Options,
): Promise<Row> {
  const [ceiling, holdfast] = targets;
  const figures = { ceiling: [] as Figures[], holdfast: [] as Figures[] };
  // The first run of a kind is slow until the code is compiled: it does not count.
  for (const target of targets) await workload.run(target, durability, Math.min(1, seconds));
  for (let round = 0; round < rounds; round++) {
    figures.ceiling.push(figuresOf(await workload.run(ceiling, durability, seconds)));
    figures.holdfast.push(figuresOf(await workload.run(holdfast, durability, seconds)));
  }
  const ratios = figures.holdfast.map((own, i) => {
    return ratio(workload, own, figures.ceiling[i] as Figures);
  });
  const best = medianOf(figures.ceiling);
  return {
    workload: workload.name,
    durability,
    ...medianOf(figures.holdfast),
    ceiling_msgs_per_s: best.msgs_per_s,
    ceiling_p50_ms: best.p50_ms,
    ratio_to_ceiling: median(ratios),
  };
}

const COLUMNS: readonly [string, number, (row: Row) => string][] = [
  ['workload', 22, (row) => row.workload],
  ['durability', 15, (row) => row.durability],
  ['msgs/s', 9, (row) => row.msgs_per_s.toFixed(0)],
  ['MB/s', 8, (row) => row.mb_per_s.toFixed(1)],
  ['p50 ms', 8, (row) => row.p50_ms.toFixed(2)],
  ['p99 ms', 8, (row) => row.p99_ms.toFixed(2)],
  ['ceiling/s', 10, (row) => row.ceiling_msgs_per_s.toFixed(0)],
  ['ratio', 6, (row) => row.ratio_to_ceiling.toFixed(2)],
];

function line(cells: readonly string[]): string {
  return cells
    .map((cell, i) => {
      const width = (COLUMNS[i] as (typeof COLUMNS)[number])[1];
      return i < 2 ? cell.padEnd(width) : cell.padStart(width);
    })
    .join(' ');
}

async function bench(options: Options, cleanUp: CleanUp): Promise<number> {
  const all = [...PRODUCE_WORKLOADS, ...READ_WORKLOADS];
  const workloads = all.filter(({ name }) => name.includes(options.only));
  if (workloads.length === 0) {
    const names = all.map(({ name }) => name).join(', ');
    throw new UsageError(`--only ${options.only}: no such row, there are ${names}`);
  }
  const say = (row: string): void => {
    if (!options.json) console.log(row);
  };
  mkdirSync(options.data, { recursive: true });
  const directory = cleanUp.directory(join(options.data, 'holdfast-bench-'));
  const ceiling = await cleanUp.started(startCeiling(directory));
  const holdfast = await cleanUp.started(startHoldfast(directory));
  const rows: Row[] = [];
  say(line(COLUMNS.map(([title]) => title)));
  for (const workload of workloads) {
    for (const durability of workload.durabilities) {
      const row = await measure(workload, durability, [ceiling, holdfast], options);
      rows.push(row);
      say(line(COLUMNS.map(([, , cell]) => cell(row))));
    }
  }
  if (options.json) console.log(JSON.stringify(rows, undefined, 2));
  return 0;
}

await runCommand(COMMAND, bench);
