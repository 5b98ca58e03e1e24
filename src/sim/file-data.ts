/** One simulated file: as processes see it, as the disk holds it, and what lies between. */
import type { Random } from './random.ts';

/** Written as a whole or not at all. */
const SECTOR_BYTES = 512;
const MIN_ROOM_BYTES = 4096;

interface Write {
  readonly position: number;
  readonly bytes: Buffer;
}

const EMPTY = Buffer.alloc(0);

export class FileData {
  #cached: Buffer = EMPTY;
  #durable: Buffer = EMPTY;
  #unsynced: Write[] = [];
  #writes = 0;

  get size(): number {
    return this.#cached.length;
  }

  /** Counts the writes of all time: what a sync that begins now covers. */
  get writes(): number {
    return this.#writes;
  }

  read(target: Uint8Array, position: number): number {
    const part = this.#cached.subarray(position, position + target.length);
    target.set(part);
    return part.length;
  }

  /** The bytes are the file's from here on. */
  write(position: number, bytes: Buffer): void {
    if (bytes.length === 0) return;
    this.#cached = patched(this.#cached, position, bytes);
    this.#unsynced.push({ position, bytes });
    this.#writes++;
  }

  /** All writes up to that one reach the disk; a failed sync forgets that they have not. */
  sync(succeeds: boolean, through = this.#writes): void {
    const before = this.#writes - this.#unsynced.length;
    const writes = this.#unsynced.splice(0, Math.max(0, through - before));
    if (!succeeds) return;
    for (const { position, bytes } of writes) {
      this.#durable = patched(this.#durable, position, bytes);
    }
  }

  /** Of the sectors on their way each reaches the disk with this probability. */
  powerCut(random: Random, keep: number): void {
    for (const { position, bytes } of this.#unsynced) {
      for (let at = 0; at < bytes.length; ) {
        const end = Math.min(bytes.length, at + SECTOR_BYTES - ((position + at) % SECTOR_BYTES));
        if (random.chance(keep)) {
          this.#durable = patched(this.#durable, position + at, bytes.subarray(at, end));
        }
        at = end;
      }
    }
    this.#unsynced = [];
    this.#cached = Buffer.from(this.#durable);
  }

  /** As a power cut would leave them at least. To look at only. */
  get durable(): Buffer {
    return this.#durable;
  }

  /** In a byte that the disk holds; the page cache has not kept it. */
  flipBit(at: number, random: Random): void {
    const mask = 1 << random.between(0, 7);
    for (const bytes of [this.#cached, this.#durable]) bytes[at]! ^= mask;
  }
}

/** The bytes with a part replaced or added; room beyond the end grows by doubling. */
export function patched(target: Buffer, position: number, bytes: Uint8Array): Buffer {
  const end = position + bytes.length;
  let result = target;
  if (end > target.length) {
    const room = target.buffer.byteLength - target.byteOffset;
    if (end <= room) result = Buffer.from(target.buffer, target.byteOffset, end);
    else {
      const grown = Buffer.from(new ArrayBuffer(Math.max(end * 2, MIN_ROOM_BYTES)));
      grown.set(target);
      result = grown.subarray(0, end);
    }
  }
  result.set(bytes, position);
  return result;
}
