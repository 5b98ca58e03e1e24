/** What applying entries writes, and the rows it adds up to: a state store in memory. */

import { asBuffer } from '../../storage/keys.ts';
import type { QueueId } from '../broker/commands.ts';
import type { QueueIndexRow, StateWriter, Table } from '../broker/state-port.ts';

interface RowPut {
  /** Its table and key. */
  readonly name: string;
  /** Over name and value; undefined = deleted. */
  readonly hash: number | undefined;
}

/** A row that takes the place of those which began and ended within it. */
export interface MovedRow {
  readonly row: QueueIndexRow;
  readonly replaced: readonly number[];
}

/** What one entry wrote. */
export class Effects implements StateWriter {
  readonly puts: RowPut[] = [];
  readonly shown: QueueIndexRow[] = [];
  readonly moved: MovedRow[] = [];

  put(table: Table, key: Uint8Array, value: Uint8Array | undefined): void {
    const name = `${table} ${asBuffer(key).toString('latin1')}`;
    const hash = value === undefined ? undefined : mix(hashBytes(value, hashText(name)));
    this.puts.push({ name, hash });
  }

  putIndex(row: QueueIndexRow): void {
    this.shown.push(row);
  }

  moveIndex(row: QueueIndexRow, replaced: readonly number[]): void {
    this.moved.push({ row, replaced });
  }

  dropIndexBelow(_queueId: QueueId, _startOffset: number): void {
    // What is dropped at leisure is no part of the state.
  }
}

/** Both get everything. */
export function teed(left: StateWriter, right: StateWriter): StateWriter {
  return {
    put: (table, key, value) => {
      left.put(table, key, value);
      right.put(table, key, value);
    },
    putIndex: (row) => {
      left.putIndex(row);
      right.putIndex(row);
    },
    moveIndex: (row, replaced) => {
      left.moveIndex(row, replaced);
      right.moveIndex(row, replaced);
    },
    dropIndexBelow: (queueId, startOffset) => {
      left.dropIndexBelow(queueId, startOffset);
      right.dropIndexBelow(queueId, startOffset);
    },
  };
}

const FNV_START = 0x811c9dc5;
const FNV_PRIME = 0x01000193;

/** Of characters below 256. */
function hashText(text: string): number {
  let hash = FNV_START;
  for (let at = 0; at < text.length; at++) {
    hash = Math.imul(hash ^ text.charCodeAt(at), FNV_PRIME);
  }
  return hash >>> 0;
}

function hashBytes(bytes: Uint8Array, start: number): number {
  let hash = start;
  for (let at = 0; at < bytes.length; at++) hash = Math.imul(hash ^ bytes[at]!, FNV_PRIME);
  return hash >>> 0;
}

/** Spreads a row's hash, so that the sum over rows tells them apart. */
function mix(hash: number): number {
  let mixed = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  mixed = Math.imul(mixed ^ (mixed >>> 13), 0xc2b2ae35);
  return (mixed ^ (mixed >>> 16)) >>> 0;
}

/** The rows of one shard. `hash` is over all of them, whatever the order they came in. */
export class ShardRows {
  readonly #hashes = new Map<string, number>();
  #hash = 0;

  get hash(): number {
    return this.#hash;
  }

  apply(effects: Effects): void {
    for (const put of effects.puts) this.#put(put);
  }

  #put({ name, hash }: RowPut): void {
    const before = this.#hashes.get(name) ?? 0;
    this.#hash = (this.#hash - before + (hash ?? 0)) >>> 0;
    if (hash === undefined) this.#hashes.delete(name);
    else this.#hashes.set(name, hash);
  }
}
