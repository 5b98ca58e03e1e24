/**
 * The marker file: how far the newest segment is known to be on the disk (internals rule 3). Every
 * record carries such a position as well; the file only covers the last flush, once the log is
 * idle, and says that the log was closed cleanly. It is written after the sync that it reports.
 */
import path from 'node:path';
import { crc32 } from 'node:zlib';
import { ioError } from './errors.ts';
import type { Done, Files, Handle } from './files.ts';
import { promised, promisedDone } from './files.ts';
import type { SegmentIdentity } from './record.ts';
import { writeAndSync } from './segment.ts';

export const MARKER_NAME = 'marker';
const MAGIC = 0x4b4d4648;
/** Two slots, written in turn: a torn write leaves the other. A disk sector each. */
const SLOT_BYTES = 512;
const USED_BYTES = 36;

export interface Marker extends SegmentIdentity {
  readonly synced: number;
  /** Nothing was written after this marker: the segment ends here. */
  readonly clean: boolean;
}

interface Numbered extends Marker {
  /** Which of two valid slots is the newer one. */
  readonly serial: number;
}

function encodeSlot(marker: Numbered): Buffer {
  const slot = Buffer.alloc(SLOT_BYTES);
  slot.writeUInt32LE(MAGIC, 0);
  slot.writeUInt32LE(marker.serial, 8);
  slot.writeUInt32LE(marker.epoch, 12);
  slot.writeUInt32LE(marker.sequence, 16);
  slot.writeUInt32LE(marker.synced, 20);
  slot.writeUInt32LE(marker.clean ? 1 : 0, 24);
  slot.writeUInt32LE(crc32(slot.subarray(8, USED_BYTES)), 4);
  return slot;
}

function decodeSlot(source: Buffer, at: number): Numbered | undefined {
  if (source.length < at + USED_BYTES || source.readUInt32LE(at) !== MAGIC) return undefined;
  const crc = crc32(source.subarray(at + 8, at + USED_BYTES));
  if (source.readUInt32LE(at + 4) !== crc) return undefined;
  return {
    serial: source.readUInt32LE(at + 8),
    epoch: source.readUInt32LE(at + 12),
    sequence: source.readUInt32LE(at + 16),
    synced: source.readUInt32LE(at + 20),
    clean: source.readUInt32LE(at + 24) === 1,
  };
}

export function decodeMarker(source: Buffer): Numbered | undefined {
  const slots = [decodeSlot(source, 0), decodeSlot(source, SLOT_BYTES)];
  let newest: Numbered | undefined;
  for (const slot of slots) {
    if (slot !== undefined && (newest === undefined || slot.serial > newest.serial)) newest = slot;
  }
  return newest;
}

/** Keeps the marker file. One write at a time; what is asked meanwhile is written next. */
export class MarkerFile {
  readonly found: Marker | undefined;
  private readonly files: Files;
  private readonly handle: Handle;
  private readonly file: string;
  private serial: number;
  private busy = false;
  private wanted: { marker: Marker; done: Done } | undefined;

  constructor(files: Files, handle: Handle, file: string, found: Numbered | undefined) {
    this.files = files;
    this.handle = handle;
    this.file = file;
    this.found = found;
    this.serial = found?.serial ?? 0;
  }

  static async open(files: Files, directory: string, names: readonly string[]) {
    const file = path.join(directory, MARKER_NAME);
    const mode = names.includes(MARKER_NAME) ? 'write' : 'create';
    const handle = await promised<Handle>((done) => files.open(file, mode, done));
    const slots = Buffer.alloc(2 * SLOT_BYTES);
    await promised<number>((done) => files.read(handle, slots, 0, done));
    return new MarkerFile(files, handle, file, decodeMarker(slots));
  }

  /** A newer marker replaces one that is still waiting; `done` of the replaced one is dropped. */
  write(marker: Marker, done: Done): void {
    this.wanted = { marker, done };
    if (!this.busy) this.next();
  }

  close(): Promise<void> {
    return promisedDone((done) => this.files.close(this.handle, done));
  }

  private next(): void {
    const wanted = this.wanted;
    if (wanted === undefined) return;
    this.wanted = undefined;
    this.busy = true;
    this.serial += 1;
    const slot = encodeSlot({ ...wanted.marker, serial: this.serial });
    const position = (this.serial % 2) * SLOT_BYTES;
    writeAndSync(this.files, this.handle, [slot], position, (error) => {
      this.busy = false;
      wanted.done(error === null ? null : ioError('write to', this.file, error));
      if (error === null) this.next();
    });
  }
}
