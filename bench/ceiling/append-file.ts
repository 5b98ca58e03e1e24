/**
 * The barest log: one growing file, one vectored write and one fdatasync for whatever waits (group
 * commit), no format, no checks, no index.
 */
import { close, fdatasync, openSync, writev } from 'node:fs';
import { crc32 } from 'node:zlib';

/** Length and CRC before each append. */
export const FRAME_HEADER_BYTES = 8;

interface Pending {
  readonly bytes: Uint8Array;
  onWritten(): void;
  onDurable(): void;
}

export class AppendFile {
  readonly #descriptor: number;
  #queue: Pending[] = [];
  #busy = false;

  constructor(path: string) {
    this.#descriptor = openSync(path, 'w');
  }

  append(bytes: Uint8Array, onWritten: () => void, onDurable: () => void): void {
    this.#queue.push({ bytes, onWritten, onDurable });
    if (!this.#busy) this.#flush();
  }

  close(): void {
    close(this.#descriptor);
  }

  #flush(): void {
    const batch = this.#queue;
    if (batch.length === 0) {
      this.#busy = false;
      return;
    }
    this.#busy = true;
    this.#queue = [];
    this.#writeAll(this.#framed(batch), () => {
      for (const pending of batch) pending.onWritten();
      fdatasync(this.#descriptor, (error) => {
        if (error !== null) throw error;
        for (const pending of batch) pending.onDurable();
        this.#flush();
      });
    });
  }

  #framed(batch: readonly Pending[]): Uint8Array[] {
    const buffers: Uint8Array[] = [];
    for (const { bytes } of batch) {
      const header = Buffer.allocUnsafe(FRAME_HEADER_BYTES);
      header.writeUInt32LE(bytes.length, 0);
      header.writeUInt32LE(crc32(bytes), 4);
      buffers.push(header, bytes);
    }
    return buffers;
  }

  #writeAll(buffers: Uint8Array[], done: () => void): void {
    const chunk = buffers.slice(0, 1024);
    const expected = chunk.reduce((sum, bytes) => sum + bytes.length, 0);
    writev(this.#descriptor, chunk, (error, written) => {
      if (error !== null) throw error;
      if (written !== expected) throw new Error(`short write: ${written} of ${expected} bytes`);
      const rest = buffers.slice(1024);
      if (rest.length === 0) done();
      else this.#writeAll(rest, done);
    });
  }
}
