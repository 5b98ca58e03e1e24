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
  'shortWrites',
  'failedWrites',
  'failedReads',
  'failWriteIn',
  'failWritesOf',
  'failReadsOf',
] as const;
type Field = (typeof FIELDS)[number];

/** What the shim of one node saw and did, over all its processes. */
const COUNTERS = [
  'fileSyncs',
  'stdioSyncs',
  'directorySyncs',
  'dsyncWrites',
  'failedSyncs',
  'refusedWrites',
  'delayedSyncs',
  'shiftedClockReads',
  'shortWrites',
  'failedWrites',
  'failedReads',
] as const satisfies readonly Field[];
export type Counters = Readonly<Record<(typeof COUNTERS)[number], number>>;

/** What a file is for, as shim.c tells it by its place. */
const CLASS_BITS = { log: 1, sidecar: 2, marker: 4, state: 8, checkpoint: 16, other: 32 } as const;
export type DiskClass = keyof typeof CLASS_BITS;
export const DISK_CLASSES = Object.keys(CLASS_BITS) as readonly DiskClass[];

function maskOf(classes: readonly DiskClass[]): number {
  return classes.reduce((mask, name) => mask | CLASS_BITS[name], 0);
}

/** `half`: the first write that finds no room takes half of its bytes before. */
export type Fullness = 'no' | 'yes' | 'half';
const FULLNESS: Readonly<Record<Fullness, number>> = { no: 0, yes: 1, half: 2 };

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
    return Object.fromEntries(COUNTERS.map((name) => [name, at(name)])) as Counters;
  }

  /** The n-th sync from now fails with EIO, once; 0 takes it back. */
  failSyncIn(syncs: number): void {
    this.#set('failSyncIn', syncs);
  }

  /** Whatever makes a file longer fails with ENOSPC. */
  fillDisk(full: Fullness): void {
    this.#set('isFull', FULLNESS[full]);
  }

  /** The n-th write from now to files of these classes fails with EIO, once; 0 takes it back. */
  failWriteIn(writes: number, classes: readonly DiskClass[]): void {
    this.#set('failWritesOf', maskOf(classes));
    this.#set('failWriteIn', writes);
  }

  /** All reads of these files fail with EIO; none takes it back. */
  failReads(classes: readonly DiskClass[]): void {
    this.#set('failReadsOf', maskOf(classes));
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
