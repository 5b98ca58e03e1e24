/**
 * One number for all small state of a shard: two replicas that applied the same entries have the
 * same one, whatever their LevelDB and their checkpoints look like as files.
 */
import { createHash } from 'node:crypto';
import type { TableRow } from './level-db.ts';

const LENGTHS_BYTES = 9;

export class StateDigest {
  readonly #hash = createHash('sha256');

  /** In order of kind, then key: as LevelDB and checkpoints have them. */
  add({ kind, key, value }: TableRow): void {
    const lengths = Buffer.alloc(LENGTHS_BYTES);
    lengths[0] = kind;
    lengths.writeUInt32BE(key.length, 1);
    lengths.writeUInt32BE(value.length, 5);
    this.#hash.update(lengths).update(key).update(value);
  }

  /** Once. */
  hex(): string {
    return this.#hash.digest('hex');
  }
}

/** In any order. */
export function stateDigestOf(rows: readonly TableRow[]): string {
  const digest = new StateDigest();
  for (const row of [...rows].sort(byKey)) digest.add(row);
  return digest.hex();
}

export function byKey(a: TableRow, b: TableRow): number {
  return a.kind - b.kind || Buffer.compare(a.key, b.key);
}
