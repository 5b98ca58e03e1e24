/**
 * Deletes index rows below a queue's start, a chunk per batch, one queue at a time, in the
 * background. What is to be dropped is itself a row, so that a restart goes on where it stopped.
 */
import type { ShardId } from '../raft/types.ts';
import type { Scan } from './index-reader.ts';
import { indexDropKey, indexRange } from './keys.ts';
import type { StateOp } from './write-queue.ts';

export interface IndexDrop {
  readonly shard: ShardId;
  readonly queueId: number;
  /** Rows that end below this offset go. */
  readonly startOffset: number;
}

const ROWS_PER_CHUNK = 512;

export interface DropperPorts {
  readonly scan: Scan;
  readonly write: (ops: readonly StateOp[], done: () => void) => void;
  readonly onError: (error: Error) => void;
}

export class IndexDropper {
  readonly #ports: DropperPorts;
  /** By queue id (unique in the cluster): the highest start offset asked for. */
  readonly #wanted = new Map<number, IndexDrop>();
  /** Those whose rows have all reached LevelDB. */
  readonly #ready = new Set<IndexDrop>();
  #busy = false;
  #closed = false;

  constructor(ports: DropperPorts) {
    this.#ports = ports;
  }

  get waiting(): number {
    return this.#wanted.size;
  }

  /** Before the drop's own row is written, so that a raised drop is never forgotten. */
  want(drop: IndexDrop): void {
    const known = this.#wanted.get(drop.queueId);
    if (known !== undefined && known.startOffset >= drop.startOffset) return;
    if (known !== undefined) this.#ready.delete(known);
    this.#wanted.set(drop.queueId, drop);
  }

  /** To be called when everything written before the drop can be read. */
  ready(drop: IndexDrop): void {
    if (this.#wanted.get(drop.queueId) !== drop) return;
    this.#ready.add(drop);
    this.#next();
  }

  close(): void {
    this.#closed = true;
  }

  #next(): void {
    const [drop] = this.#ready;
    if (this.#busy || this.#closed || drop === undefined) return;
    this.#busy = true;
    this.#ready.delete(drop);
    this.#dropChunk(drop);
  }

  #dropChunk(drop: IndexDrop): void {
    if (this.#closed) return;
    const { shard, queueId, startOffset } = drop;
    const range = indexRange(shard, queueId, 0, startOffset);
    this.#ports.scan(range, ROWS_PER_CHUNK, (error, rows) => {
      if (this.#closed) return;
      if (error !== undefined) return this.#ports.onError(error);
      const ops = rows.map(([key]): StateOp => ({ key, value: undefined }));
      const more = rows.length === ROWS_PER_CHUNK;
      if (!more) this.#finish(drop, ops);
      this.#ports.write(ops, () => {
        if (more) return this.#dropChunk(drop);
        this.#busy = false;
        this.#next();
      });
    });
  }

  /** A drop that was raised meanwhile keeps its row, and its turn comes again. */
  #finish(drop: IndexDrop, ops: StateOp[]): void {
    if (this.#wanted.get(drop.queueId) !== drop) return;
    this.#wanted.delete(drop.queueId);
    ops.push({ key: indexDropKey(drop.shard, drop.queueId), value: undefined });
  }
}
