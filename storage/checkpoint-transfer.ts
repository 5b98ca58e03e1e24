/**
 * Checkpoints on their way from node to node: read in pieces at one end, gathered in a `.part` file
 * at the other, which a crash leaves there to go on with. Only a part that verifies whole becomes a
 * checkpoint: temporary file, fsync, rename, fsync of the directory.
 */
import { strict as assert } from 'node:assert';
import { type FileHandle, open, rename, stat, unlink } from 'node:fs/promises';
import path from 'node:path';
import type { EntryId, ShardId } from '../raft/types.ts';
import { type CheckpointHead, readCheckpointFile } from './checkpoint-file.ts';
import { checkpointPath, makeDirectory, namesIn, syncDirectory } from './checkpoints.ts';
import { StorageError } from './errors.ts';
import type { TableRow } from './level-db.ts';

/** An open file: it stays readable when the checkpoint is pruned meanwhile. */
export interface OpenCheckpoint {
  readonly totalBytes: number;
  readonly handle: FileHandle;
}

/** `OUT_OF_RANGE`: this node has no checkpoint at `id`; `DATA_LOSS`: it is damaged. */
export async function openCheckpoint(
  directory: string,
  shard: ShardId,
  id: EntryId,
): Promise<OpenCheckpoint> {
  const file = checkpointPath(directory, shard, id.index);
  const size = await sizeOf(file);
  if (size === undefined) throw new StorageError('OUT_OF_RANGE', `no checkpoint ${file}`);
  const head = await readCheckpointFile(file, () => undefined);
  if (!isOf(head, shard, id)) throw unexpected(file);
  return { totalBytes: size, handle: await open(file, 'r') };
}

export async function readOpen(
  { handle, totalBytes }: OpenCheckpoint,
  offset: number,
  maxBytes: number,
): Promise<Uint8Array> {
  const length = Math.max(0, Math.min(maxBytes, totalBytes - offset));
  const bytes = Buffer.allocUnsafeSlow(length);
  let read = 0;
  while (read < length) {
    const step = await handle.read(bytes, read, length - read, offset + read);
    if (step.bytesRead === 0) throw new StorageError('DATA_LOSS', 'a checkpoint became shorter');
    read += step.bytesRead;
  }
  return bytes;
}

export interface ReceivedCheckpoint extends CheckpointHead {
  readonly rows: readonly TableRow[];
}

/** One checkpoint being received. One call at a time. */
export class IncomingCheckpoint {
  readonly shard: ShardId;
  readonly id: EntryId;
  readonly #directory: string;
  readonly #part: string;
  /** undefined = the whole checkpoint is here already. */
  #handle: FileHandle | undefined;
  #nextOffset: number;

  private constructor(
    directory: string,
    shard: ShardId,
    id: EntryId,
    part: string,
    handle: FileHandle | undefined,
    nextOffset: number,
  ) {
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
  ): Promise<IncomingCheckpoint> {
    await makeDirectory(directory);
    const name = `${shard}-${id.index}-${id.term}-${totalBytes}.part`;
    const part = path.join(directory, name);
    await discardParts(directory, shard, name);
    const whole = await sizeOf(checkpointPath(directory, shard, id.index));
    if (whole === totalBytes) {
      return new IncomingCheckpoint(directory, shard, id, part, undefined, totalBytes);
    }
    const held = await sizeOf(part);
    if (held !== undefined && held > totalBytes) await unlink(part);
    const handle = await open(part, 'a', 0o600);
    const { size } = await handle.stat();
    return new IncomingCheckpoint(directory, shard, id, part, handle, size);
  }

  get nextOffset(): number {
    return this.#nextOffset;
  }

  async append(offset: number, data: Uint8Array): Promise<number> {
    assert(offset === this.#nextOffset, 'a checkpoint comes in order');
    assert(this.#handle !== undefined, 'nothing comes after the end of a checkpoint');
    await this.#handle.appendFile(data);
    this.#nextOffset += data.length;
    return this.#nextOffset;
  }

  /** Throws `DATA_LOSS` when it does not verify; then nothing of it is left. */
  async finish(): Promise<ReceivedCheckpoint> {
    const file = checkpointPath(this.#directory, this.shard, this.id.index);
    if (this.#handle === undefined) return this.#load(file);
    await this.#handle.sync();
    await this.close();
    const received = await this.#load(this.#part);
    await rename(this.#part, file);
    await syncDirectory(this.#directory);
    return received;
  }

  async #load(file: string): Promise<ReceivedCheckpoint> {
    try {
      const rows: TableRow[] = [];
      const head = await readCheckpointFile(file, (row) => {
        rows.push(row);
      });
      if (!isOf(head, this.shard, this.id)) throw unexpected(file);
      return { ...head, rows };
    } catch (error) {
      await unlink(file);
      throw error;
    }
  }

  /** What came so far stays for the next attempt. */
  async close(): Promise<void> {
    const handle = this.#handle;
    this.#handle = undefined;
    await handle?.close();
  }
}

/** Parts of `shard`, apart from the one named `kept`. */
export async function discardParts(
  directory: string,
  shard: ShardId,
  kept?: string,
): Promise<void> {
  for (const name of await namesIn(directory)) {
    if (!name.startsWith(`${shard}-`) || !name.endsWith('.part') || name === kept) continue;
    await unlink(path.join(directory, name));
  }
}

function isOf({ applied }: CheckpointHead, shard: ShardId, id: EntryId): boolean {
  return applied.shard === shard && applied.index === id.index && applied.term === id.term;
}

function unexpected(file: string): StorageError {
  return new StorageError('DATA_LOSS', `checkpoint ${file} is of another shard, index or term`);
}

async function sizeOf(file: string): Promise<number | undefined> {
  try {
    return (await stat(file)).size;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}
