/**
 * How far the shard's replicas have agreed to let the log go. Whoever read where a message lies
 * before a `copyRow` moved it may name that place after the log there is given up: nothing may be
 * held at or below the floor.
 */
import type { LogIndex } from '../../raft/types.ts';
import { ByteReader, ByteWriter } from './bytes.ts';
import type { StateRow, StateWriter } from './state-port.ts';

const ONLY_KEY = new Uint8Array(0);

export class LogFloor {
  #index: LogIndex = 0;

  get index(): LogIndex {
    return this.#index;
  }

  raise(index: LogIndex, out: StateWriter): void {
    if (index <= this.#index) return;
    this.#index = index;
    out.put('log-floor', ONLY_KEY, new ByteWriter(8).uint(index).finish());
  }

  load([row]: readonly StateRow[]): void {
    if (row === undefined) return;
    const from = new ByteReader(row.value);
    this.#index = from.uint();
    from.expectEnd();
  }
}
