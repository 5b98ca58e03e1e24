import type { QueueIndexRow, StateRow, StateWriter, Table } from '../../src/broker/state-port.ts';

interface Put {
  readonly table: Table;
  readonly key: Uint8Array;
  readonly value: Uint8Array | undefined;
}

/** A state store in memory: what a machine wrote, and what would be loaded from it. */
export class MemoryRows implements StateWriter {
  readonly #rows = new Map<string, StateRow>();
  readonly puts: Put[] = [];
  readonly index: QueueIndexRow[] = [];
  readonly drops: [number, number][] = [];

  put(table: Table, key: Uint8Array, value: Uint8Array | undefined): void {
    this.puts.push({ table, key, value });
    const name = `${table} ${Buffer.from(key).toString('hex')}`;
    if (value === undefined) this.#rows.delete(name);
    else this.#rows.set(name, { table, key: copy(key), value: copy(value) });
  }

  putIndex(row: QueueIndexRow): void {
    this.index.push(row);
  }

  moveIndex(row: QueueIndexRow, replaced: readonly number[]): void {
    for (const last of [...replaced, lastOffsetOf(row)]) {
      const isIt = (one: QueueIndexRow) =>
        one.queueId === row.queueId && lastOffsetOf(one) === last;
      const at = this.index.findIndex(isIt);
      if (at >= 0) this.index.splice(at, 1, ...(last === lastOffsetOf(row) ? [row] : []));
    }
  }

  dropIndexBelow(queueId: number, startOffset: number): void {
    this.drops.push([queueId, startOffset]);
  }

  /** In key order, as a store on disk gives them. */
  rows(): StateRow[] {
    return [...this.#rows.entries()].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, row]) => row);
  }

  /** Comparable with `toEqual`. */
  dump(): string[] {
    return this.rows().map(({ table, key, value }) => `${table} ${hex(key)} = ${hex(value)}`);
  }
}

function lastOffsetOf(row: QueueIndexRow): number {
  return row.baseOffset + row.count - 1;
}

function copy(bytes: Uint8Array): Uint8Array {
  return new Uint8Array(bytes);
}

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('hex');
}
