/**
 * LevelDB opened and read with bytes for keys and values. The only file that imports `level`.
 */
import { Level } from 'level';
import type { ShardId } from '../raft/types.ts';
import { StorageError } from './errors.ts';
import type { StoredRow } from './index-reader.ts';
import { decodeKey, type KeyRange, kindRange, TABLE_KINDS, type TableKind } from './keys.ts';
import { unseal } from './row-codec.ts';
import type { StateReads } from './state-verdict.ts';

/** LevelDB maps each table file (2 MiB) that is open: this bounds what it adds to the process. */
const MAX_OPEN_FILES = 80;
/** One reading step; larger than LevelDB's default, so that scans need fewer turns. */
const SCAN_STEP_BYTES = 64 * 1024;
const SCAN_STEP_ROWS = 1024;

/** What the state store asks of LevelDB. The simulator has one of its own. */
export interface Database {
  batch(): WriteBatch;
  get(key: Uint8Array, options?: { readonly snapshot?: Snapshot }): Promise<Uint8Array | undefined>;
  iterator(range: IteratorRange): RowIterator;
  snapshot(): Snapshot;
  close(): Promise<void>;
}

export interface WriteBatch {
  put(key: Uint8Array, value: Uint8Array): unknown;
  del(key: Uint8Array): unknown;
  write(): PromiseLike<void>;
}

export interface Snapshot {
  close(): Promise<void>;
}

export interface IteratorRange {
  readonly gte: Uint8Array;
  readonly lt: Uint8Array;
  readonly limit: number;
  readonly highWaterMarkBytes: number;
  readonly snapshot?: Snapshot;
}

export interface RowIterator {
  nextv(size: number): Promise<readonly StoredRow[]>;
  close(): Promise<void>;
}

export interface LevelFiles {
  readonly directory: string;
  readonly writeBufferBytes: number;
}

/** A LevelDB is more than an open one: it must be found out about, and deleted. */
export interface LevelBackend {
  /** Text = what is missing, though there is data. */
  missingCurrent(directory: string): Promise<string | undefined>;
  /** Text = LevelDB finds its files damaged. */
  open(files: LevelFiles, createIfMissing: boolean): Promise<Database | string>;
  /** Something there is damaged: the next open finds it missing. */
  condemn(directory: string): void;
  delete(directory: string): Promise<void>;
}

/** A row of a small-state table: the table's own key and value. */
export interface TableRow {
  readonly kind: TableKind;
  readonly key: Uint8Array;
  readonly value: Uint8Array;
}

/** Text = LevelDB finds its files damaged. */
export async function openDatabase(
  options: LevelFiles,
  createIfMissing: boolean,
): Promise<Level<Uint8Array, Uint8Array> | string> {
  const database = new Level<Uint8Array, Uint8Array>(options.directory, {
    keyEncoding: 'view',
    valueEncoding: 'view',
    createIfMissing,
    writeBufferSize: options.writeBufferBytes,
    maxOpenFiles: MAX_OPEN_FILES,
  });
  try {
    await database.open();
    return database;
  } catch (error) {
    return explainOpenError(options.directory, error as Error);
  }
}

function explainOpenError(directory: string, error: Error): string {
  const cause = error.cause instanceof Error ? error.cause : error;
  const code = 'code' in cause ? cause.code : undefined;
  if (code === 'LEVEL_LOCKED') {
    const message = `state directory ${directory} is in use by another live process`;
    throw new StorageError('LOCKED', message, cause);
  }
  if (isDamage(cause)) return `LevelDB does not open it (${cause.message})`;
  throw new StorageError('IO', `open state ${directory}: ${cause.message}`, cause);
}

export function throwReadError(error: Error): never {
  if (isDamage(error)) throw new StorageError('DATA_LOSS', `read state: ${error.message}`, error);
  throw error;
}

/** A file of LevelDB that is damaged, gone or empty is lost data; what else fails may pass. */
export function isDamage(error: Error): boolean {
  const isCorrupt = 'code' in error && error.code === 'LEVEL_CORRUPTION';
  return isCorrupt || /No such file|does not exist|Invalid argument/.test(error.message);
}

export async function scanAll(
  database: Database,
  range: KeyRange,
  limit: number,
): Promise<readonly StoredRow[]> {
  const found: StoredRow[] = [];
  for await (const step of scanSteps(database, range, limit)) {
    for (const row of step) found.push(row);
  }
  return found;
}

export async function* scanSteps(
  database: Database,
  range: KeyRange,
  limit: number,
  snapshot?: Snapshot,
): AsyncGenerator<readonly StoredRow[]> {
  const iterator = database.iterator({
    gte: range.from,
    lt: range.before,
    limit,
    highWaterMarkBytes: SCAN_STEP_BYTES,
    ...(snapshot === undefined ? {} : { snapshot }),
  });
  try {
    for (;;) {
      const step = await iterator.nextv(Math.min(limit, SCAN_STEP_ROWS)).catch(throwReadError);
      if (step.length === 0) return;
      yield step;
    }
  } finally {
    await iterator.close();
  }
}

export function stateReads(database: Database): StateReads {
  const everything = { from: Buffer.from([0]), before: Buffer.from([0xff]) };
  return {
    all: (range) => scanAll(database, range, Number.POSITIVE_INFINITY),
    get: (key) => database.get(key).catch(throwReadError),
    isEmpty: async () => (await scanAll(database, everything, 1)).length === 0,
  };
}

export async function* tableRows(
  database: Database,
  shard: ShardId,
  snapshot?: Snapshot,
): AsyncGenerator<readonly TableRow[]> {
  for (const kind of TABLE_KINDS) {
    const range = kindRange(kind, shard);
    for await (const step of scanSteps(database, range, Number.POSITIVE_INFINITY, snapshot)) {
      yield step.map(([key, value]) => ({
        kind,
        key: decodeKey(key).rest,
        value: unseal(key, value),
      }));
    }
  }
}
