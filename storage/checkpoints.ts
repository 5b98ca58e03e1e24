/**
 * Checkpoints of a shard's small state, as files beside the log. A segment of the log may go only
 * when a checkpoint at or past it is on the disk (internals rules 4 and 5).
 */
import path from 'node:path';
import { setImmediate as nextTurn } from 'node:timers/promises';
import type { LogIndex, Membership, ShardId } from '../raft/types.ts';
import {
  type CheckpointHead,
  encodeEnd,
  encodeHead,
  encodeRow,
  readCheckpointFile,
} from './checkpoint-file.ts';
import { continueCrc } from './crc.ts';
import { StorageError } from './errors.ts';
import {
  type Files,
  type Handle,
  makeDurableDirectory,
  namesIn,
  nodeFiles,
  promised,
  promisedDone,
} from './files.ts';
import type { ShardSnapshot } from './level-state.ts';
import type { AppliedMark } from './row-codec.ts';

export const MAX_CHECKPOINTS_PER_SHARD = 16;
/** How long one piece of work may hold the event loop. */
const SLICE_MS = 5;
const NAME = /^(\d+)-(\d+)\.ckpt$/;

export interface CheckpointFile {
  readonly file: string;
  readonly shard: ShardId;
  readonly index: LogIndex;
}

export interface Checkpoint extends CheckpointHead {
  readonly file: string;
  readonly rowCount: number;
}

export interface CheckpointSource {
  snapshotShard(shard: ShardId): Promise<ShardSnapshot>;
}

export interface TakeOptions {
  readonly source: CheckpointSource;
  readonly directory: string;
  readonly shard: ShardId;
  /** The shard's membership as of the applied index; undefined = the shard left. */
  readonly membership: (applied: AppliedMark) => Membership | undefined;
  readonly files?: Files;
  /** Lets other work have its turn, now and then. Default: by the clock. */
  readonly breathe?: () => Promise<void>;
}

/**
 * Writes a checkpoint of what LevelDB holds now; undefined = nothing is applied yet, or the shard
 * left meanwhile. When it returns, the file is durable. A failed write is for the caller to end the
 * process with.
 */
export async function takeCheckpoint(options: TakeOptions): Promise<CheckpointFile | undefined> {
  const { source, directory, shard, membership, files = nodeFiles } = options;
  const breathe = options.breathe ?? paced();
  await makeDurableDirectory(files, directory);
  const snapshot = await source.snapshotShard(shard);
  try {
    const { applied } = snapshot;
    if (applied === undefined) return undefined;
    const members = membership(applied);
    if (members === undefined) return undefined;
    const file = checkpointPath(directory, shard, applied.index);
    const temporary = `${file}.tmp`;
    const head = { applied, membership: JSON.stringify(members) };
    await writeDurably(files, temporary, (to) => writeRows(to, head, snapshot, breathe));
    await promisedDone((done) => files.rename(temporary, file, done));
    await promisedDone((done) => files.syncDirectory(directory, done));
    return { file, shard, index: applied.index };
  } catch (error) {
    if (error instanceof StorageError) throw error;
    const message = `write checkpoint of shard ${shard} in ${directory}: ${String(error)}`;
    throw new StorageError('IO', message, error);
  } finally {
    await snapshot.close();
  }
}

export function checkpointPath(directory: string, shard: ShardId, index: LogIndex): string {
  return path.join(directory, `${shard}-${index}.ckpt`);
}

async function writeDurably(
  files: Files,
  file: string,
  fill: (to: Appender) => Promise<void>,
): Promise<void> {
  const handle = await promised<Handle>((done) => files.open(file, 'create', done));
  try {
    await fill(new Appender(files, handle));
    await promisedDone((done) => files.datasync(handle, done));
  } finally {
    await promisedDone((done) => files.close(handle, done));
  }
}

async function writeRows(
  to: Appender,
  head: CheckpointHead,
  snapshot: ShardSnapshot,
  breathe: () => Promise<void>,
): Promise<void> {
  await to.append(encodeHead(head));
  let rowCount = 0;
  for await (const rows of snapshot.rows()) {
    await breathe();
    rowCount += rows.length;
    await to.append(Buffer.concat(rows.map(encodeRow)));
  }
  await to.append(encodeEnd(rowCount, to.crc));
}

/** Writes a file from its start on, and checksums what it has written. */
class Appender {
  crc = 0;
  readonly #files: Files;
  readonly #handle: Handle;
  #position = 0;

  constructor(files: Files, handle: Handle) {
    this.#files = files;
    this.#handle = handle;
  }

  async append(bytes: Buffer): Promise<void> {
    const position = this.#position;
    await writeFully(this.#files, this.#handle, bytes, position);
    this.crc = continueCrc(this.crc, bytes);
    this.#position += bytes.length;
  }
}

/** A short write is a full disk: the next attempt says so. */
export async function writeFully(
  files: Files,
  handle: Handle,
  bytes: Uint8Array,
  position: number,
): Promise<void> {
  for (let written = 0; written < bytes.length; ) {
    const rest = bytes.subarray(written);
    const at = position + written;
    const count = await promised<number>((done) => files.write(handle, [rest], at, done));
    if (count === 0) throw new StorageError('IO', 'a write took nothing; is the disk full?');
    written += count;
  }
}

/** Lets other work have the event loop whenever a slice is used up. */
function paced(): () => Promise<void> {
  let sliceStartMs = performance.now();
  return async () => {
    if (performance.now() - sliceStartMs < SLICE_MS) return;
    await nextTurn();
    sliceStartMs = performance.now();
  };
}

/** By shard, then index. Looks at names only; a missing directory has none. */
export async function listCheckpoints(
  directory: string,
  files: Files = nodeFiles,
): Promise<readonly CheckpointFile[]> {
  const found: CheckpointFile[] = [];
  for (const name of await namesIn(files, directory)) {
    const match = NAME.exec(name);
    if (match === null) continue;
    const [shard, index] = [Number(match[1]), Number(match[2])];
    found.push({ file: path.join(directory, name), shard, index });
  }
  return found.sort((a, b) => a.shard - b.shard || a.index - b.index);
}

/** Reads the whole file and throws `DATA_LOSS` if it is damaged. */
export async function readCheckpoint(
  listed: CheckpointFile,
  files: Files = nodeFiles,
): Promise<Checkpoint> {
  const { file, shard, index } = listed;
  const read = await readCheckpointFile(file, () => undefined, files);
  if (read.applied.shard !== shard || read.applied.index !== index) {
    throw new StorageError('DATA_LOSS', `checkpoint ${file}: its name and its content differ`);
  }
  return { file, ...read };
}

export interface FoundCheckpoint {
  readonly checkpoint: Checkpoint | undefined;
  /** One line per damaged file that was passed over. */
  readonly damaged: readonly string[];
}

/** The first intact one, in the order given. */
export async function firstIntact(
  candidates: readonly CheckpointFile[],
  files: Files = nodeFiles,
): Promise<FoundCheckpoint> {
  const damaged: string[] = [];
  for (const candidate of candidates) {
    try {
      return { checkpoint: await readCheckpoint(candidate, files), damaged };
    } catch (error) {
      if (!(error instanceof StorageError) || error.code !== 'DATA_LOSS') throw error;
      damaged.push(error.message);
    }
  }
  return { checkpoint: undefined, damaged };
}

/** What the log may be trimmed to: the newest intact one that is not past `index`. */
export async function newestAtOrBelow(
  directory: string,
  shard: ShardId,
  index: LogIndex,
  files: Files = nodeFiles,
): Promise<FoundCheckpoint> {
  const listed = await listCheckpoints(directory, files);
  const candidates = listed.filter((one) => one.shard === shard && one.index <= index);
  return firstIntact(candidates.reverse(), files);
}

/**
 * Deletes what no rebuild needs: everything below `kept`, and over the limit those that leave the
 * smallest gaps, so that the log's start can still move on in steps. `kept` itself (the one that
 * the log's start rests on) and the newest one always stay.
 */
export async function pruneCheckpoints(
  directory: string,
  shard: ShardId,
  kept: LogIndex,
  files: Files = nodeFiles,
): Promise<readonly CheckpointFile[]> {
  const all = (await listCheckpoints(directory, files)).filter((one) => one.shard === shard);
  const keptExists = all.some((one) => one.index === kept);
  const staying = keptExists ? all.filter((one) => one.index >= kept) : [...all];
  while (staying.length > MAX_CHECKPOINTS_PER_SHARD) staying.splice(closest(staying), 1);
  const doomed = all.filter((one) => !staying.includes(one));
  await unlinkAll(files, directory, doomed);
  return doomed;
}

async function unlinkAll(
  files: Files,
  directory: string,
  doomed: readonly CheckpointFile[],
): Promise<void> {
  for (const { file } of doomed) await promisedDone((done) => files.unlink(file, done));
  if (doomed.length > 0) await promisedDone((done) => files.syncDirectory(directory, done));
}

/** Position of the one, neither first nor last, whose neighbours are nearest to each other. */
function closest(ascending: readonly CheckpointFile[]): number {
  let found = 1;
  let smallest = Number.POSITIVE_INFINITY;
  for (let at = 1; at < ascending.length - 1; at++) {
    const gap = indexAt(ascending, at + 1) - indexAt(ascending, at - 1);
    if (gap < smallest) [found, smallest] = [at, gap];
  }
  return found;
}

function indexAt(files: readonly CheckpointFile[], at: number): LogIndex {
  return (files[at] as CheckpointFile).index;
}

/**
 * Leftovers of a checkpoint that a crash interrupted. What stays gets a durable name: the crash may
 * have come between a rename and its sync, and a log start is about to rest on what is here.
 */
export async function removeUnfinished(directory: string, files: Files = nodeFiles): Promise<void> {
  const names = await namesIn(files, directory);
  for (const name of names) {
    if (!name.endsWith('.ckpt.tmp')) continue;
    await promisedDone((done) => files.unlink(path.join(directory, name), done));
  }
  if (names.length > 0) await promisedDone((done) => files.syncDirectory(directory, done));
}

/** The shard left this node: its checkpoints are of no use to anybody here. */
export async function deleteCheckpoints(
  directory: string,
  shard: ShardId,
  files: Files = nodeFiles,
): Promise<void> {
  const all = await listCheckpoints(directory, files);
  await unlinkAll(
    files,
    directory,
    all.filter((one) => one.shard === shard),
  );
}
