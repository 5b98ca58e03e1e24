/** What applying entries writes, and the rows it adds up to: a state store in memory. */

import type { QueueId } from '../broker/commands.ts';
import type { QueueIndexRow, StateRow, StateWriter, Table } from '../broker/state-port.ts';

interface RowPut {
  readonly table: Table;
  readonly key: Uint8Array;
  readonly value: Uint8Array | undefined;
}

/** What one entry wrote. */
export class Effects implements StateWriter {
  readonly puts: RowPut[] = [];
  readonly shown: QueueIndexRow[] = [];

  put(table: Table, key: Uint8Array, value: Uint8Array | undefined): void {
    const copy = value === undefined ? undefined : new Uint8Array(value);
    this.puts.push({ table, key: new Uint8Array(key), value: copy });
  }

  putIndex(row: QueueIndexRow): void {
    this.shown.push(row);
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
    dropIndexBelow: (queueId, startOffset) => {
      left.dropIndexBelow(queueId, startOffset);
      right.dropIndexBelow(queueId, startOffset);
    },
  };
}

interface StoredRow extends StateRow {
  readonly hash: number;
}

const FNV_START = 0x811c9dc5;
const FNV_PRIME = 0x01000193;

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
  readonly #rows = new Map<string, StoredRow>();
  #hash = 0;

  get hash(): number {
    return this.#hash;
  }

  apply(effects: Effects): void {
    for (const put of effects.puts) this.#put(put);
  }

  #put({ table, key, value }: RowPut): void {
    const { buffer, byteOffset, length } = key;
    const name = `${table} ${Buffer.from(buffer, byteOffset, length).toString('latin1')}`;
    const before = this.#rows.get(name);
    if (before !== undefined) this.#hash = (this.#hash - before.hash) >>> 0;
    if (value === undefined) {
      this.#rows.delete(name);
      return;
    }
    const hash = mix(hashBytes(value, hashBytes(Buffer.from(name, 'latin1'), FNV_START)));
    this.#hash = (this.#hash + hash) >>> 0;
    this.#rows.set(name, { table, key, value, hash });
  }

  all(): Iterable<StateRow> {
    return this.#rows.values();
  }

  copy(): ShardRows {
    const copy = new ShardRows();
    for (const [name, row] of this.#rows) copy.#rows.set(name, row);
    copy.#hash = this.#hash;
    return copy;
  }
}
