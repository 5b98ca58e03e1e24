/**
 * Looks at the state of a stopped node: what `inspect state` prints. Opening lets LevelDB do its
 * own recovery of its log, nothing else is written.
 */
import { stat } from 'node:fs/promises';
import path from 'node:path';
import type { ShardId } from '../raft/types.ts';
import { findGap, type KeptBatch } from './batch-window.ts';
import { listCheckpoints, readCheckpoint } from './checkpoints.ts';
import { StorageError } from './errors.ts';
import { decodeIndexRow, type StoredRow } from './index-reader.ts';
import { decodeKey, FORMAT_VERSION, KEY_SPECS, KeyKind } from './keys.ts';
import { type Database, openDatabase, scanSteps, type TableRow } from './level-db.ts';
import {
  type AppliedMark,
  decodeAppliedBody,
  decodeBatchBody,
  decodeFormatBody,
  decodeIntegerBody,
  lastOffsetOf,
  unseal,
} from './row-codec.ts';
import { StateDigest } from './state-digest.ts';

export interface QueueRange {
  readonly shard: ShardId;
  readonly queueId: number;
  readonly firstOffset: number;
  /** Exclusive. */
  readonly endOffset: number;
  readonly rows: number;
}

export interface CheckpointReport {
  readonly file: string;
  readonly shard: ShardId;
  readonly index: number;
  /** Only when verified. */
  readonly rows?: number;
}

export interface StateReport {
  readonly directory: string;
  readonly identity: string;
  readonly applied: readonly AppliedMark[];
  /** Rows by shard and table name. */
  readonly tables: readonly { shard: ShardId; table: string; rows: number }[];
  /** Of all rows of a shard's tables; only when verified. Replicas at one index have the same. */
  readonly digests: readonly { readonly shard: ShardId; readonly digest: string }[];
  readonly queues: readonly QueueRange[];
  readonly batches: { readonly first: number; readonly last: number; readonly count: number };
  readonly checkpoints: readonly CheckpointReport[];
  readonly verified: boolean;
  /** One line each; empty when nothing was found wrong. */
  readonly problems: readonly string[];
}

/** `directory` = a node's data directory, with `state` and `checkpoints` in it. */
export async function inspectState(directory: string, verify: boolean): Promise<StateReport> {
  const stateDirectory = path.join(directory, 'state');
  await assertDirectory(stateDirectory);
  const database = await openDatabase(
    { directory: stateDirectory, writeBufferBytes: 4 * 1024 * 1024 },
    false,
  );
  if (typeof database === 'string') throw new StorageError('DATA_LOSS', database);
  const survey = new Survey(verify);
  try {
    await survey.read(database);
  } finally {
    await database.close();
  }
  const checkpoints = await surveyCheckpoints(path.join(directory, 'checkpoints'), verify, survey);
  return { directory, verified: verify, checkpoints, ...survey.result() };
}

async function assertDirectory(directory: string): Promise<void> {
  const found = await stat(directory).catch(() => undefined);
  if (found?.isDirectory()) return;
  throw new StorageError('IO', `no state at ${directory}`);
}

async function surveyCheckpoints(
  directory: string,
  verify: boolean,
  survey: Survey,
): Promise<readonly CheckpointReport[]> {
  const reports: CheckpointReport[] = [];
  for (const listed of await listCheckpoints(directory)) {
    if (!verify) reports.push(listed);
    else {
      try {
        reports.push({ ...listed, rows: (await readCheckpoint(listed)).rowCount });
      } catch (error) {
        reports.push(listed);
        survey.problem((error as Error).message);
      }
    }
  }
  return reports;
}

interface OpenRange {
  readonly shard: ShardId;
  readonly queueId: number;
  readonly firstOffset: number;
  endOffset: number;
  rows: number;
}

/** A verification that finds damage everywhere need not list all of it. */
const MAX_PROBLEMS = 100;

/** One pass over all keys, which come in order. */
class Survey {
  readonly #verify: boolean;
  readonly #applied: AppliedMark[] = [];
  readonly #tables = new Map<string, { shard: ShardId; table: string; rows: number }>();
  readonly #digests = new Map<ShardId, StateDigest>();
  readonly #queues: OpenRange[] = [];
  readonly #batches: KeptBatch[] = [];
  readonly #problems: string[] = [];
  #identity: string | undefined;

  constructor(verify: boolean) {
    this.#verify = verify;
  }

  problem(line: string): void {
    if (this.#problems.length < MAX_PROBLEMS) this.#problems.push(line);
  }

  async read(database: Database): Promise<void> {
    const everything = { from: Buffer.from([0]), before: Buffer.alloc(32, 0xff) };
    for await (const step of scanSteps(database, everything, Number.POSITIVE_INFINITY)) {
      for (const row of step) this.#look(row);
    }
    const gap = this.#verify ? findGap(this.#batches) : undefined;
    if (gap !== undefined) this.problem(gap);
    if (this.#identity === undefined) this.problem('the format record is missing');
  }

  result(): Pick<
    StateReport,
    'identity' | 'applied' | 'tables' | 'digests' | 'queues' | 'batches' | 'problems'
  > {
    const count = this.#batches.length;
    return {
      identity: this.#identity ?? '',
      applied: this.#applied,
      tables: [...this.#tables.values()].sort((a, b) => a.shard - b.shard),
      digests: [...this.#digests]
        .sort(([a], [b]) => a - b)
        .map(([shard, digest]) => ({ shard, digest: digest.hex() })),
      queues: this.#queues,
      batches: {
        first: this.#batches[0]?.number ?? 0,
        last: this.#batches.at(-1)?.number ?? 0,
        count,
      },
      problems: this.#problems,
    };
  }

  #look(row: StoredRow): void {
    try {
      this.#count(row);
    } catch (error) {
      this.problem((error as Error).message);
    }
  }

  #count(row: StoredRow): void {
    const [key, value] = row;
    const { kind, shard, queueId, number, rest } = decodeKey(key);
    switch (kind) {
      case KeyKind.format:
        this.#format(unseal(key, value));
        break;
      case KeyKind.batch:
        this.#batches.push(decodeBatchBody(number, unseal(key, value)));
        break;
      case KeyKind.applied:
        this.#applied.push(decodeAppliedBody(shard, unseal(key, value)));
        break;
      case KeyKind.queueIndex:
        this.#indexRow(shard, queueId, row);
        break;
      case KeyKind.indexDrop:
      case KeyKind.swap:
        decodeIntegerBody(unseal(key, value));
        break;
      default:
        this.#tableRow(shard, KEY_SPECS[kind].name);
        if (this.#verify) this.#digest(shard, { kind, key: rest, value: unseal(key, value) });
    }
  }

  #format(body: Uint8Array): void {
    const format = decodeFormatBody(body);
    this.#identity = format.identity;
    if (format.version > FORMAT_VERSION) this.problem(`format ${format.version} is unknown`);
  }

  #tableRow(shard: ShardId, table: string): void {
    const name = `${shard} ${table}`;
    const known = this.#tables.get(name) ?? { shard, table, rows: 0 };
    known.rows++;
    this.#tables.set(name, known);
  }

  /** Kinds come in order, and within each of them the keys of a shard. */
  #digest(shard: ShardId, row: TableRow): void {
    const digest = this.#digests.get(shard) ?? new StateDigest();
    this.#digests.set(shard, digest);
    digest.add(row);
  }

  #indexRow(shard: ShardId, queueId: number, stored: StoredRow): void {
    const row = decodeIndexRow(stored);
    const range = this.#queues.at(-1);
    const endOffset = lastOffsetOf(row) + 1;
    if (range === undefined || range.shard !== shard || range.queueId !== queueId) {
      this.#queues.push({ shard, queueId, firstOffset: row.baseOffset, endOffset, rows: 1 });
      return;
    }
    if (this.#verify && row.baseOffset !== range.endOffset) {
      const where = `shard ${shard} queue ${queueId}`;
      this.problem(
        `${where}: row at ${row.baseOffset} follows one that ends at ${range.endOffset}`,
      );
    }
    range.endOffset = endOffset;
    range.rows++;
  }
}

/** Lines for people. */
export function formatStateReport(report: StateReport): readonly string[] {
  const { batches } = report;
  return [
    `state of ${report.directory} (${report.identity || 'no identity'})`,
    `batches ${batches.first}-${batches.last} (${batches.count})`,
    ...report.applied.map(
      ({ shard, index, term, timeMs }) =>
        `shard ${shard}: applied ${index}, term ${term}, time ${timeMs}`,
    ),
    ...report.tables.map(({ shard, table, rows }) => `shard ${shard}: ${table}: ${rows} rows`),
    ...report.digests.map(({ shard, digest }) => `shard ${shard}: digest ${digest}`),
    ...report.queues.map(
      ({ shard, queueId, firstOffset, endOffset, rows }) =>
        `shard ${shard}: queue ${queueId}: offsets ${firstOffset}-${endOffset - 1} in ${rows} rows`,
    ),
    ...report.checkpoints.map(
      ({ shard, index, rows }) =>
        `shard ${shard}: checkpoint ${index}${rows === undefined ? '' : `, ${rows} rows`}`,
    ),
    verdictLine(report),
    ...report.problems.map((line) => `problem: ${line}`),
  ];
}

function verdictLine({ verified, problems }: StateReport): string {
  if (problems.length > 0) return `${problems.length} problems`;
  return verified ? 'verified: no problem found' : 'not verified';
}
