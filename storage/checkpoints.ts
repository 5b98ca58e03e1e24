/**
 * Checkpoints of a shard's small state, as files beside the log. A segment of the log may go only
 * when a checkpoint at or past it is on the disk (internals rules 4 and 5).
 */
import { type FileHandle, mkdir, open, readdir, rename, unlink } from 'node:fs/promises';
import path from 'node:path';
import { setImmediate as nextTurn } from 'node:timers/promises';
import type { LogIndex, ShardId } from '../raft/types.ts';
import {
  type CheckpointHead,
  encodeEnd,
  encodeHead,
  encodeRow,
  readCheckpointFile,
} from './checkpoint-file.ts';
import { continueCrc } from './crc.ts';
import { StorageError } from './errors.ts';
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
  /** The shard's membership as of the applied index, as text. */
  readonly membership: (applied: AppliedMark) => string;
}

/**
 * Writes a checkpoint of what LevelDB holds now; undefined = nothing is applied yet. When it
 * returns, the file is durable. A failed write is for the caller to end the process with.
 */
export async function takeCheckpoint(options: TakeOptions): Promise<CheckpointFile | undefined> {
  const { source, directory, shard, membership } = options;
  await makeDirectory(directory);
  const snapshot = await source.snapshotShard(shard);
  try {
    const { applied } = snapshot;
    if (applied === undefined) return undefined;
    const file = checkpointPath(directory, shard, applied.index);
    const temporary = `${file}.tmp`;
    const head = { applied, membership: membership(applied) };
    await writeDurably(temporary, (handle) => writeRows(handle, head, snapshot));
    await rename(temporary, file);
    await syncDirectory(directory);
    return { file, shard, index: applied.index };
  } catch (error) {
    if (error instanceof StorageError) throw error;
    const message = `write checkpoint of shard ${shard} in ${directory}: ${String(error)}`;
    throw new StorageError('IO', message, error);
  } finally {
    await snapshot.close();
  }
}

/** Its own name must be durable too, or a power cut takes all files in it. */
export async function makeDirectory(directory: string): Promise<void> {
  await mkdir(directory, { recursive: true, mode: 0o700 });
  await syncDirectory(path.dirname(directory));
}

export function checkpointPath(directory: string, shard: ShardId, index: LogIndex): string {
  return path.join(directory, `${shard}-${index}.ckpt`);
}

async function writeDurably(
  file: string,
  fill: (handle: FileHandle) => Promise<void>,
): Promise<void> {
  const handle = await open(file, 'w', 0o600);
  try {
    await fill(handle);
    await handle.sync();
  } finally {
    await handle.close();
  }
}

async function writeRows(
  handle: FileHandle,
  head: CheckpointHead,
  snapshot: ShardSnapshot,
): Promise<void> {
  let crc = 0;
  let rowCount = 0;
  const write = async (bytes: Buffer): Promise<void> => {
    crc = continueCrc(crc, bytes);
    await handle.appendFile(bytes);
  };
  await write(encodeHead(head));
  const pace = new Pace();
  for await (const rows of snapshot.rows()) {
    await pace.breathe();
    rowCount += rows.length;
    await write(Buffer.concat(rows.map(encodeRow)));
  }
  await handle.appendFile(encodeEnd(rowCount, crc));
}

/** Lets other work have the event loop whenever a slice is used up. */
class Pace {
  #sliceStartMs = performance.now();

  async breathe(): Promise<void> {
    if (performance.now() - this.#sliceStartMs < SLICE_MS) return;
    await nextTurn();
    this.#sliceStartMs = performance.now();
  }
}

export async function syncDirectory(directory: string): Promise<void> {
  const handle = await open(directory, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/** By shard, then index. Looks at names only; a missing directory has none. */
export async function listCheckpoints(directory: string): Promise<readonly CheckpointFile[]> {
  const found: CheckpointFile[] = [];
  for (const name of await namesIn(directory)) {
    const match = NAME.exec(name);
    if (match === null) continue;
    const [shard, index] = [Number(match[1]), Number(match[2])];
    found.push({ file: path.join(directory, name), shard, index });
  }
  return found.sort((a, b) => a.shard - b.shard || a.index - b.index);
}

export async function namesIn(directory: string): Promise<readonly string[]> {
  try {
    return await readdir(directory);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
    throw error;
  }
}

/** Reads the whole file and throws `DATA_LOSS` if it is damaged. */
export async function readCheckpoint(listed: CheckpointFile): Promise<Checkpoint> {
  const { file, shard, index } = listed;
  const read = await readCheckpointFile(file, () => undefined);
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
export async function firstIntact(candidates: readonly CheckpointFile[]): Promise<FoundCheckpoint> {
  const damaged: string[] = [];
  for (const candidate of candidates) {
    try {
      return { checkpoint: await readCheckpoint(candidate), damaged };
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
): Promise<FoundCheckpoint> {
  const listed = await listCheckpoints(directory);
  const candidates = listed.filter((one) => one.shard === shard && one.index <= index);
  return firstIntact(candidates.reverse());
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
): Promise<readonly CheckpointFile[]> {
  const all = (await listCheckpoints(directory)).filter((one) => one.shard === shard);
  const keptExists = all.some((one) => one.index === kept);
  const staying = keptExists ? all.filter((one) => one.index >= kept) : [...all];
  while (staying.length > MAX_CHECKPOINTS_PER_SHARD) staying.splice(closest(staying), 1);
  const doomed = all.filter((one) => !staying.includes(one));
  for (const { file } of doomed) await unlink(file);
  if (doomed.length > 0) await syncDirectory(directory);
  return doomed;
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

/** Leftovers of a checkpoint that a crash interrupted. */
export async function removeUnfinished(directory: string): Promise<void> {
  for (const name of await namesIn(directory)) {
    if (name.endsWith('.ckpt.tmp')) await unlink(path.join(directory, name));
  }
}

/** The shard left this node: its checkpoints are of no use to anybody here. */
export async function deleteCheckpoints(directory: string, shard: ShardId): Promise<void> {
  const own = (await listCheckpoints(directory)).filter((one) => one.shard === shard);
  for (const { file } of own) await unlink(file);
  if (own.length > 0) await syncDirectory(directory);
}
