/** Passes a state machine's writes on and notes which queues a pass of entries touched. */
import type { QueueId } from '../broker/commands.ts';
import type { QueueIndexRow, StateWriter, Table } from '../broker/state-port.ts';

export class TouchedQueues implements StateWriter {
  readonly #target: StateWriter;
  readonly #touched = new Set<QueueId>();

  constructor(target: StateWriter) {
    this.#target = target;
  }

  put(table: Table, key: Uint8Array, value: Uint8Array | undefined): void {
    this.#target.put(table, key, value);
  }

  putIndex(row: QueueIndexRow): void {
    this.#touched.add(row.queueId);
    this.#target.putIndex(row);
  }

  /** Readers have nothing to wake for. */
  moveIndex(row: QueueIndexRow, replaced: readonly number[]): void {
    this.#target.moveIndex(row, replaced);
  }

  dropIndexBelow(queueId: QueueId, startOffset: number): void {
    this.#touched.add(queueId);
    this.#target.dropIndexBelow(queueId, startOffset);
  }

  /** Hands out what was touched since the last call. */
  drain(each: (queueId: QueueId) => void): void {
    for (const queueId of this.#touched) each(queueId);
    this.#touched.clear();
  }
}
