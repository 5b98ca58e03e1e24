/** Where acknowledged requests lie in the leader's file, and long polls for more. */
import { openSync, read } from 'node:fs';
import { FRAME_HEADER_BYTES } from './append-file.ts';
import { bytesField, numberField } from './wire.ts';

/** Not a field of FetchResponse: readers skip it, which is all that the ceiling's reader does. */
const RAW_FIELD = 100;

export interface StoredBatch {
  readonly baseOffset: number;
  readonly count: number;
  readonly position: number;
  readonly bytes: number;
}

interface Wanted {
  readonly offset: number;
  readonly maxBytes: number;
  readonly waits: boolean;
}

export class StoredBatches {
  readonly #descriptor: number;
  readonly #batches: StoredBatch[] = [];
  #nextOffset = 0;
  #nextPosition = 0;
  #waiting: { wanted: Wanted; answer: (bytes: Buffer) => void }[] = [];

  constructor(path: string) {
    this.#descriptor = openSync(path, 'r');
  }

  /** In the order of the appends. The batch is not readable yet. */
  reserve(requestBytes: number, count: number): StoredBatch {
    const bytes = FRAME_HEADER_BYTES + requestBytes;
    const batch = { baseOffset: this.#nextOffset, count, position: this.#nextPosition, bytes };
    this.#nextOffset += count;
    this.#nextPosition += bytes;
    return batch;
  }

  show(batch: StoredBatch): void {
    this.#batches.push(batch);
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const { wanted, answer } of waiting) this.read(wanted, answer);
  }

  /** One read of the file over as many whole requests as fit, one field around them. */
  read(wanted: Wanted, answer: (bytes: Buffer) => void): void {
    const first = this.#find(wanted.offset);
    const start = this.#batches[first];
    if (start === undefined) {
      if (wanted.waits) this.#waiting.push({ wanted, answer });
      else answer(Buffer.from(numberField(1, wanted.offset)));
      return;
    }
    let last = start;
    for (let i = first + 1; i < this.#batches.length; i++) {
      const next = this.#batches[i] as StoredBatch;
      if (next.position + next.bytes - start.position > wanted.maxBytes) break;
      last = next;
    }
    const length = last.position + last.bytes - start.position;
    const target = Buffer.allocUnsafe(length);
    read(this.#descriptor, target, 0, length, start.position, (error) => {
      if (error !== null) throw error;
      const head = Buffer.from(numberField(1, last.baseOffset + last.count));
      answer(Buffer.concat([head, bytesField(RAW_FIELD, target)]));
    });
  }

  /** Index of the batch that holds `offset`, or the length. */
  #find(offset: number): number {
    let low = 0;
    let high = this.#batches.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      const batch = this.#batches[middle] as StoredBatch;
      if (batch.baseOffset + batch.count <= offset) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}
