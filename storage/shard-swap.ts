/**
 * Deletes all rows of one shard, and fills in those of a checkpoint: a chunk per batch, however
 * many there are. A `swap` row is there from before the first deletion until the batch that ends
 * the work, which sets or deletes the `applied` row: an open that finds it begins the swap again.
 */
import type { ShardId } from '../raft/types.ts';
import type { Scan } from './index-reader.ts';
import { KeyKind, type KeyRange, kindRange, swapKey, TABLE_KINDS, tableKey } from './keys.ts';
import type { TableRow } from './level-db.ts';
import { encodeIntegerBody } from './row-codec.ts';
import { opBytes, type StateOp } from './write-queue.ts';

const ROWS_PER_CHUNK = 2048;
const FILL_CHUNK_BYTES = 256 * 1024;
const ERASED_KINDS = [KeyKind.indexDrop, KeyKind.queueIndex, ...TABLE_KINDS] as const;

export interface SwapPorts {
  readonly scan: Scan;
  readonly write: (ops: readonly StateOp[], done: () => void) => void;
  readonly onError: (error: Error) => void;
}

/** Nothing else may be written to the shard before `done`. */
export function eraseShard(ports: SwapPorts, shard: ShardId, done: () => void): void {
  const ranges = ERASED_KINDS.map((kind) => kindRange(kind, shard));
  const next = (): void => {
    const range = ranges.shift();
    if (range === undefined) done();
    else eraseRange(ports, range, next);
  };
  // Behind everything that waits to be written: a scan sees what is in LevelDB only.
  ports.write([{ key: swapKey(shard), value: encodeIntegerBody(0) }], next);
}

/** To be written with what the shard's `applied` row becomes. */
export function swapEnd(shard: ShardId): StateOp {
  return { key: swapKey(shard), value: undefined };
}

function eraseRange(ports: SwapPorts, range: KeyRange, done: () => void): void {
  ports.scan(range, ROWS_PER_CHUNK, (error, rows) => {
    if (error !== undefined) {
      ports.onError(error);
      return;
    }
    if (rows.length === 0) {
      done();
      return;
    }
    const ops = rows.map(([key]): StateOp => ({ key, value: undefined }));
    const isLast = rows.length < ROWS_PER_CHUNK;
    ports.write(ops, isLast ? done : () => eraseRange(ports, range, done));
  });
}

/** Calls `done` when all rows are written: never within the call. */
export function fillShard(
  ports: SwapPorts,
  shard: ShardId,
  tables: readonly TableRow[],
  done: () => void,
): void {
  let at = 0;
  const next = (): void => {
    const ops: StateOp[] = [];
    for (let bytes = 0; at < tables.length && bytes < FILL_CHUNK_BYTES; at++) {
      const { kind, key, value } = tables[at] as TableRow;
      const op = { key: tableKey(kind, shard, key), value };
      ops.push(op);
      bytes += opBytes(op);
    }
    ports.write(ops, at < tables.length ? next : done);
  };
  next();
}
