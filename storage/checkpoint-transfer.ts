/**
 * Checkpoints on their way from node to node: read in pieces at one end, gathered in a `.part` file
 * at the other, which a crash leaves there to go on with. Only a part that verifies whole becomes a
 * checkpoint: temporary file, fsync, rename, fsync of the directory.
 */
import { strict as assert } from 'node:assert';
import path from 'node:path';
import type { EntryId, ShardId } from '../raft/types.ts';
import { type CheckpointHead, readCheckpointFile } from './checkpoint-file.ts';
import { checkpointPath, writeFully } from './checkpoints.ts';
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
import type { TableRow } from './level-db.ts';

/** An open file: it stays readable when the checkpoint is pruned meanwhile. */
export class OpenCheckpoint {
  readonly totalBytes: number;
  readonly #files: Files;
  readonly #handle: Handle;

  constructor(files: Files, handle: Handle, totalBytes: number) {
    this.#files = files;
    this.#handle = handle;
    this.totalBytes = totalBytes;
  }

  /** At most `maxBytes`; fewer only at the end. */
  async read(offset: number, maxBytes: number): Promise<Uint8Array> {
    const length = Math.max(0, Math.min(maxBytes, this.totalBytes - offset));
    const bytes = Buffer.allocUnsafeSlow(length);
    const files = this.#files;
    const got = await promised<number>((done) => files.read(this.#handle, bytes, offset, done));
    if (got < length) throw new StorageError('DATA_LOSS', 'a checkpoint became shorter');
    return bytes;
  }

  close(): Promise<void> {
    return promisedDone((done) => this.#files.close(this.#handle, done));
  }
}

/** `OUT_OF_RANGE`: this node has no checkpoint at `id`; `DATA_LOSS`: it is damaged. */
export async function openCheckpoint(
  directory: string,
  shard: ShardId,
  id: EntryId,
  files: Files = nodeFiles,
): Promise<OpenCheckpoint> {
  const file = checkpointPath(directory, shard, id.index);
  const names = await namesIn(files, directory);
  if (!names.includes(path.basename(file))) {
    throw new StorageError('OUT_OF_RANGE', `no checkpoint ${file}`);
  }
  const head = await readCheckpointFile(file, () => undefined, files);
  if (!isOf(head, shard, id)) throw unexpected(file);
  const handle = await promised<Handle>((done) => files.open(file, 'read', done));
  const size = await promised<number>((done) => files.size(handle, done));
  return new OpenCheckpoint(files, handle, size);
}

export interface ReceivedCheckpoint extends CheckpointHead {
  readonly rows: readonly TableRow[];
}

/** One checkpoint being received. One call at a time. */
export class IncomingCheckpoint {
  readonly shard: ShardId;
  readonly id: EntryId;
  readonly #files: Files;
  readonly #directory: string;
  readonly #part: string;
  /** undefined = the whole checkpoint is here already. */
  #handle: Handle | undefined;
  #nextOffset: number;

  private constructor(
    files: Files,
    directory: string,
    shard: ShardId,
    id: EntryId,
    part: string,
    handle: Handle | undefined,
    nextOffset: number,
  ) {
    this.#files = files;
    this.#directory = directory;
    this.shard = shard;
    this.id = id;
    this.#part = part;
    this.#handle = handle;
    this.#nextOffset = nextOffset;
  }

  /** Goes on with what an earlier attempt left, discards what belongs to other ids of the shard. */
  static async begin(
    directory: string,
    shard: ShardId,
    id: EntryId,
    totalBytes: number,
    files: Files = nodeFiles,
  ): Promise<IncomingCheckpoint> {
    await makeDurableDirectory(files, directory);
    const name = `${shard}-${id.index}-${id.term}-${totalBytes}.part`;
    const part = path.join(directory, name);
    await discardParts(directory, shard, name, files);
    const names = await namesIn(files, directory);
    const whole = checkpointPath(directory, shard, id.index);
    if (names.includes(path.basename(whole)) && (await sizeOf(files, whole)) === totalBytes) {
      return new IncomingCheckpoint(files, directory, shard, id, part, undefined, totalBytes);
    }
    const held = names.includes(name) ? await sizeOf(files, part) : 0;
    const mode = held > 0 && held <= totalBytes ? 'write' : 'create';
    const handle = await promised<Handle>((done) => files.open(part, mode, done));
    const from = mode === 'write' ? held : 0;
    return new IncomingCheckpoint(files, directory, shard, id, part, handle, from);
  }

  get nextOffset(): number {
    return this.#nextOffset;
  }

  async append(offset: number, data: Uint8Array): Promise<number> {
    assert(offset === this.#nextOffset, 'a checkpoint comes in order');
    assert(this.#handle !== undefined, 'nothing comes after the end of a checkpoint');
    await writeFully(this.#files, this.#handle, data, offset);
    this.#nextOffset += data.length;
    return this.#nextOffset;
  }

  /** Throws `DATA_LOSS` when it does not verify; then nothing of it is left. */
  async finish(): Promise<ReceivedCheckpoint> {
    const files = this.#files;
    const file = checkpointPath(this.#directory, this.shard, this.id.index);
    const handle = this.#handle;
    if (handle !== undefined) await promisedDone((done) => files.datasync(handle, done));
    await this.close();
    const received = await this.#load(handle === undefined ? file : this.#part);
    if (handle !== undefined) {
      await promisedDone((done) => files.rename(this.#part, file, done));
    }
    // Also where the file was here: a crash may have come before its name was durable.
    await promisedDone((done) => files.syncDirectory(this.#directory, done));
    return received;
  }

  async #load(file: string): Promise<ReceivedCheckpoint> {
    const files = this.#files;
    try {
      const rows: TableRow[] = [];
      const head = await readCheckpointFile(file, (row) => void rows.push(row), files);
      if (!isOf(head, this.shard, this.id)) throw unexpected(file);
      return { ...head, rows };
    } catch (error) {
      await promisedDone((done) => files.unlink(file, done));
      throw error;
    }
  }

  /** What came so far stays for the next attempt. */
  async close(): Promise<void> {
    const handle = this.#handle;
    this.#handle = undefined;
    if (handle !== undefined) await promisedDone((done) => this.#files.close(handle, done));
  }
}

/** Parts of `shard`, apart from the one named `kept`. */
export async function discardParts(
  directory: string,
  shard: ShardId,
  kept?: string,
  files: Files = nodeFiles,
): Promise<void> {
  for (const name of await namesIn(files, directory)) {
    if (!name.startsWith(`${shard}-`) || !name.endsWith('.part') || name === kept) continue;
    await promisedDone((done) => files.unlink(path.join(directory, name), done));
  }
}

function isOf({ applied }: CheckpointHead, shard: ShardId, id: EntryId): boolean {
  return applied.shard === shard && applied.index === id.index && applied.term === id.term;
}

function unexpected(file: string): StorageError {
  return new StorageError('DATA_LOSS', `checkpoint ${file} is of another shard, index or term`);
}

async function sizeOf(files: Files, file: string): Promise<number> {
  const handle = await promised<Handle>((done) => files.open(file, 'read', done));
  try {
    return await promised<number>((done) => files.size(handle, done));
  } finally {
    await promisedDone((done) => files.close(handle, done));
  }
}
