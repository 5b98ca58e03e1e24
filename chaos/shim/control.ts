/** The page that a process shares with its shim: what the shim saw, and what it shall do. */
import { closeSync, openSync, readSync, writeSync } from 'node:fs';
import { join } from 'node:path';

export const PAGE_BYTES = 4096;
const FIELD_BYTES = 8;

/** In the order of `struct control` in shim.c. */
const FIELDS = [
  'seq',
  'fileSyncs',
  'stdioSyncs',
  'directorySyncs',
  'dsyncWrites',
  'failedSyncs',
  'refusedWrites',
  'delayedSyncs',
  'shiftedClockReads',
  'failSyncIn',
  'isFull',
  'syncDelayUs',
  'clockOffsetMs',
] as const;
type Field = (typeof FIELDS)[number];

/** What the shim of one node saw and did, over all its processes. */
export type Counters = Readonly<
  Record<
    | 'fileSyncs'
    | 'stdioSyncs'
    | 'directorySyncs'
    | 'dsyncWrites'
    | 'failedSyncs'
    | 'refusedWrites'
    | 'delayedSyncs'
    | 'shiftedClockReads',
    number
  >
>;

export class ControlPage {
  readonly #fd: number;

  constructor(stateFolder: string) {
    this.#fd = openSync(join(stateFolder, 'control'), 'a+');
    closeSync(this.#fd);
    this.#fd = openSync(join(stateFolder, 'control'), 'r+');
    const zeros = Buffer.alloc(PAGE_BYTES);
    const got = readSync(this.#fd, zeros, 0, PAGE_BYTES, 0);
    if (got < PAGE_BYTES) writeSync(this.#fd, Buffer.alloc(PAGE_BYTES - got), 0, undefined, got);
  }

  counters(): Counters {
    const page = Buffer.alloc(FIELD_BYTES * FIELDS.length);
    readSync(this.#fd, page, 0, page.length, 0);
    const at = (field: Field) => Number(page.readBigInt64LE(FIELD_BYTES * FIELDS.indexOf(field)));
    return {
      fileSyncs: at('fileSyncs'),
      stdioSyncs: at('stdioSyncs'),
      directorySyncs: at('directorySyncs'),
      dsyncWrites: at('dsyncWrites'),
      failedSyncs: at('failedSyncs'),
      refusedWrites: at('refusedWrites'),
      delayedSyncs: at('delayedSyncs'),
      shiftedClockReads: at('shiftedClockReads'),
    };
  }

  /** The n-th sync from now fails with EIO, once; 0 takes it back. */
  failSyncIn(syncs: number): void {
    this.#set('failSyncIn', syncs);
  }

  /** Whatever makes a file longer fails with ENOSPC. */
  fillDisk(isFull: boolean): void {
    this.#set('isFull', isFull ? 1 : 0);
  }

  slowSyncs(delayMs: number): void {
    this.#set('syncDelayUs', Math.round(delayMs * 1000));
  }

  /** The wall clock jumps by so much; the monotonic one does not. */
  shiftClock(offsetMs: number): void {
    this.#set('clockOffsetMs', offsetMs);
  }

  close(): void {
    closeSync(this.#fd);
  }

  #set(field: Field, value: number): void {
    const bytes = Buffer.alloc(FIELD_BYTES);
    bytes.writeBigInt64LE(BigInt(Math.round(value)));
    writeSync(this.#fd, bytes, 0, FIELD_BYTES, FIELD_BYTES * FIELDS.indexOf(field));
  }
}
