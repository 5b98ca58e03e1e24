/** `npm run bench:broker`: what a message broker is asked for beside plain logs, with its goals. */
import { mkdirSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect } from '../../src/client/index.ts';
import { type CleanUp, runCommand } from '../../test/processes/command.ts';
import { flag, number, text, UsageError, type ValuesOf } from '../../test/processes/options.ts';
import { UpProcess } from '../../test/processes/up-process.ts';
import { backlog } from './backlog.ts';
import { delayed } from './delay.ts';
import { filter } from './filter.ts';
import { half } from './half.ts';
import { metrics } from './metrics.ts';
import type { Part, Row } from './row.ts';
import { security } from './security.ts';
import { topics } from './topics.ts';

const PARTS: Readonly<Record<string, Part>> = {
  half,
  delay: delayed,
  topics,
  filter,
  backlog,
  metrics,
  security,
};

const COMMAND = {
  name: 'bench:broker',
  does: 'Half messages, delays, many topics, filters, backlog, metrics, TLS: each beside its goal.',
  options: {
    only: text('PART', '', `one of ${Object.keys(PARTS).join(', ')}`),
    seconds: number(5, 'how long each figure is measured, per round', { min: 0.5, max: 3600 }),
    rounds: number(3, 'rounds where two loads take turns', { min: 1, max: 100, whole: true }),
    gb: number(2, 'gigabytes of backlog', { min: 0.01, max: 1000 }),
    rate: number(6000, 'delayed messages a second', { min: 1, max: 1_000_000, whole: true }),
    data: text('DIR', tmpdir(), 'where the data is kept meanwhile'),
    json: flag('the rows as JSON, at the end'),
  },
};
type Options = ValuesOf<typeof COMMAND.options>;

/** Each part has a cluster of its own: what one leaves behind is no part of another. */
async function measured(part: Part, options: Options, cleanUp: CleanUp): Promise<Row> {
  const directory = cleanUp.directory(join(options.data, 'holdfast-bench-'));
  const up = await cleanUp.started(UpProcess.start({ data: join(directory, 'holdfast') }));
  const client = connect({ servers: up.servers });
  const { seconds, rounds, gb, rate: ratePerS } = options;
  const tell = (line: string): void => console.error(line);
  try {
    const sizes = { seconds, rounds, gb, ratePerS };
    const own = join(directory, 'more');
    mkdirSync(own);
    return await part({ client, servers: up.servers, ...sizes, directory: own, tell });
  } finally {
    await client.close();
    await up.stop();
  }
}

function shown({ workload, durability, figures, goal, met }: Row): string {
  const texts = Object.entries(figures).map(([name, value]) => {
    return `${name.replaceAll('_', ' ')} ${value}`;
  });
  const verdict = met ? 'met' : 'missed';
  return `${workload} (${durability})\n  ${texts.join(', ')}\n  goal: ${goal}: ${verdict}`;
}

async function bench(options: Options, cleanUp: CleanUp): Promise<number> {
  const wanted = options.only === '' ? Object.keys(PARTS) : [options.only];
  const rows: Row[] = [];
  for (const name of wanted) {
    const part = PARTS[name];
    if (part === undefined) throw new UsageError(`--only: ${name} is no part`);
    const row = await measured(part, options, cleanUp);
    if (!options.json) console.log(shown(row));
    rows.push(row);
  }
  if (options.json) console.log(JSON.stringify(rows));
  return 0;
}

await runCommand(COMMAND, bench);
