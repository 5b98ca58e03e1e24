import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { Command } from 'commander';
import { inspectLog, type LogInspection } from '../../storage/inspect-log.ts';
import { formatStateReport, inspectState } from '../../storage/inspect-state.ts';
import { Failure } from '../failure.ts';
import { formatTable } from './table.ts';

interface InspectOptions {
  readonly json: boolean;
  readonly verify: boolean;
}

/** What an inspection found, for people and for scripts. */
interface Findings {
  readonly report: unknown;
  readonly lines: readonly string[];
  readonly problems: number;
}

export function registerInspect(program: Command): void {
  const inspect = program
    .command('inspect')
    .description('read and verify the directory of a stopped node');
  addInspection(inspect, 'log', 'the commit log: segments, shards, tail, damage', log);
  addInspection(
    inspect,
    'state',
    'topics, offsets and half messages, as LevelDB holds them',
    state,
  );
}

function addInspection(
  inspect: Command,
  name: string,
  description: string,
  look: (directory: string, verify: boolean) => Promise<Findings>,
): void {
  inspect
    .command(name)
    .description(description)
    .argument('<dir>', "the node's data directory, such as .holdfast/node-1")
    .option('--verify', 'read everything and check every checksum', false)
    .option('--json', 'for scripts: JSON instead of text', false)
    .action(async (directory: string, { json, verify }: InspectOptions) => {
      const { report, lines, problems } = await look(directory, verify);
      console.log(json ? JSON.stringify(report) : lines.join('\n'));
      if (problems > 0) throw new Failure(`${problems} problems found in ${directory}`);
    });
}

async function log(directory: string, verify: boolean): Promise<Findings> {
  const report = await inspectLog(nodeFolder(directory, 'log'), { verify });
  return { report, lines: formatLog(report), problems: report.damage.length };
}

function nodeFolder(directory: string, name: string): string {
  const folder = join(directory, name);
  if (existsSync(folder)) return folder;
  throw new Failure(
    `${folder} does not exist; give a node's data directory (--data of up: node-1)`,
  );
}

function formatLog(report: LogInspection): readonly string[] {
  const { directory, cleanlyClosed, segments, shards, tombstones, damage } = report;
  const { tailRecords, tornBytes } = report;
  const tail = `tail: ${tailRecords} records past the synced point, ${tornBytes} torn bytes`;
  return [
    `log in ${directory}, ${cleanlyClosed ? 'closed in order' : 'not closed in order'}; ${tail}`,
    '',
    ...formatTable(
      ['SEGMENT', 'EPOCH', 'BYTES', 'END', 'RECORDS'],
      segments.map((one) => [one.file, one.epoch, one.fileBytes, one.end, one.records ?? '-']),
    ),
    '',
    ...formatTable(
      [
        'SHARD',
        'REPLICA',
        'FIRST',
        'LAST',
        'LAST TERM',
        'TERM',
        'VOTE',
        'COMMIT',
        'VOTERS',
        'STATE',
      ],
      shards.map((one) => [
        one.shard,
        one.replica,
        one.firstIndex,
        one.lastIndex,
        one.lastTerm,
        one.term,
        one.vote,
        one.commit,
        one.voters.join(','),
        stateOf(one),
      ]),
    ),
    '',
    ...tombstones.map(({ shard, replica }) => `shard ${shard} left; last replica ${replica}`),
    ...damage.map(({ code, message }) => `${code}: ${message}`),
    damage.length === 0 ? 'no damage found' : `${damage.length} damaged`,
  ];
}

function stateOf({ suspect, damagedEntries }: LogInspection['shards'][number]): string {
  if (suspect) return 'suspect';
  return damagedEntries === 0 ? 'ok' : `${damagedEntries} damaged`;
}

async function state(directory: string, verify: boolean): Promise<Findings> {
  nodeFolder(directory, 'state');
  const report = await inspectState(directory, verify);
  return { report, lines: formatStateReport(report), problems: report.problems.length };
}
