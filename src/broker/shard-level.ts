/** At which feature level a data shard is: raised by an entry, never lowered. */
import { ByteReader, ByteWriter } from './bytes.ts';
import { checkedLevel } from './feature-level.ts';
import type { StateRow, StateWriter } from './state-port.ts';

const ONLY_KEY = new Uint8Array(0);

export class ShardLevel {
  #current: number;

  constructor(bornAt: number) {
    this.#current = checkedLevel(bornAt);
  }

  get current(): number {
    return this.#current;
  }

  load([row]: readonly StateRow[]): void {
    if (row === undefined) return;
    const from = new ByteReader(row.value);
    this.#current = checkedLevel(from.uint());
    from.expectEnd();
  }

  raise(level: number, out: StateWriter): void {
    if (level <= this.#current) return;
    this.#current = checkedLevel(level);
    out.put('feature-level', ONLY_KEY, new ByteWriter(4).uint(level).finish());
  }
}
