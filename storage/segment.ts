/**
 * One segment file: its name, its header block, its birth. A segment appears under its final name
 * only after its header, the states of all shards and what recovery copies are on the disk, so a
 * `.log` file with an unreadable header is damage, never a torn birth.
 */
import assert from 'node:assert';
import path from 'node:path';
import { crc32 } from 'node:zlib';
import { ioError, lostBytes, StorageError } from './errors.ts';
import type { Done, Files, Handle } from './files.ts';
import type { SegmentIdentity } from './record.ts';

/** A block of its own: later appends never rewrite the disk page that it lies in. */
export const SEGMENT_HEADER_BYTES = 4096;
const SEGMENT_MAGIC = 'HFSEGMNT';
const FORMAT_VERSION = 2;
const HEADER_USED_BYTES = 40;
const MAX_SEQUENCE = 99_999_999;

export interface SegmentHeader extends SegmentIdentity {
  /** Where the valid records of segment `sequence - 1` end; 0 = there was none. */
  readonly previousEnd: number;
  /** Everything before this position was synced before the file got its name. */
  readonly initialEnd: number;
}

export function segmentName(sequence: number): string {
  assert(sequence >= 1 && sequence <= MAX_SEQUENCE, 'segment number out of range');
  return `${String(sequence).padStart(8, '0')}.log`;
}

export function sidecarName(sequence: number): string {
  return `${String(sequence).padStart(8, '0')}.idx`;
}

/** The number in a segment's file name; undefined for any other file. */
export function sequenceOf(name: string): number | undefined {
  return /^\d{8}\.log$/.test(name) ? Number.parseInt(name, 10) : undefined;
}

export function encodeSegmentHeader(header: SegmentHeader): Buffer {
  const block = Buffer.alloc(SEGMENT_HEADER_BYTES);
  block.write(SEGMENT_MAGIC, 0, 'latin1');
  block.writeUInt32LE(FORMAT_VERSION, 8);
  block.writeUInt32LE(header.sequence, 12);
  block.writeUInt32LE(header.epoch, 16);
  block.writeUInt32LE(header.previousEnd, 20);
  block.writeUInt32LE(header.initialEnd, 24);
  block.writeUInt32LE(crc32(block.subarray(0, HEADER_USED_BYTES - 4)), HEADER_USED_BYTES - 4);
  return block;
}

/** Throws what is wrong with the block: another format, or damage. */
export function decodeSegmentHeader(block: Buffer, file: string): SegmentHeader {
  const damaged = (what: string): never => {
    throw lostBytes(`${file}: segment header ${what}`);
  };
  if (block.length < SEGMENT_HEADER_BYTES) damaged('cut short');
  if (block.toString('latin1', 0, 8) !== SEGMENT_MAGIC) damaged('does not begin as a segment');
  const stored = block.readUInt32LE(HEADER_USED_BYTES - 4);
  if (stored !== crc32(block.subarray(0, HEADER_USED_BYTES - 4))) damaged('has a wrong checksum');
  const version = block.readUInt32LE(8);
  if (version !== FORMAT_VERSION) {
    throw new StorageError('UNKNOWN_FORMAT', `${file}: format ${version} is not known here`);
  }
  return {
    sequence: block.readUInt32LE(12),
    epoch: block.readUInt32LE(16),
    previousEnd: block.readUInt32LE(20),
    initialEnd: block.readUInt32LE(24),
  };
}

/** Writes, syncs and names a new segment; `content` is what follows the header block. */
export function createSegment(
  files: Files,
  directory: string,
  header: SegmentHeader,
  content: readonly Uint8Array[],
  done: (error: Error | null, handle: Handle) => void,
): void {
  const file = path.join(directory, segmentName(header.sequence));
  const temporary = `${file}.tmp`;
  const fail = (action: string, error: Error): void => done(ioError(action, file, error), -1);
  const parts = [encodeSegmentHeader(header), ...content];
  assert.equal(lengthOf(parts), header.initialEnd, 'initialEnd must match the content');
  const publish = (handle: Handle): void => {
    files.rename(temporary, file, (renameError) => {
      if (renameError !== null) return fail('rename', renameError);
      files.syncDirectory(directory, (syncError) => {
        if (syncError !== null) return fail('sync of the directory of', syncError);
        done(null, handle);
      });
    });
  };
  files.open(temporary, 'create', (openError, handle) => {
    if (openError !== null) return fail('creation of', openError);
    writeAndSync(files, handle, parts, 0, (error) => {
      if (error !== null) return fail('write to', error);
      publish(handle);
    });
  });
}

export function writeAndSync(
  files: Files,
  handle: Handle,
  parts: readonly Uint8Array[],
  position: number,
  done: Done,
): void {
  files.write(handle, parts, position, (error, bytes) => {
    if (error !== null) return done(error);
    const length = lengthOf(parts);
    if (bytes !== length) return done(shortWrite(bytes, length));
    files.datasync(handle, done);
  });
}

/** A short write to a regular file means that the disk is full or a limit was met. */
export function shortWrite(bytes: number, wanted: number): Error {
  return new Error(`only ${bytes} of ${wanted} bytes were written; is the disk full?`);
}

function lengthOf(parts: readonly Uint8Array[]): number {
  return parts.reduce((sum, part) => sum + part.length, 0);
}
