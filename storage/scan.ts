/** Walks over the records of one segment file, chunk by chunk. Used at open and by `inspect`. */

import type { Files, Handle } from './files.ts';
import { promised } from './files.ts';
import type { PortableHeader, SegmentIdentity } from './record.ts';
import {
  RECORD_HEADER_BYTES,
  RECORD_MAGIC,
  readRecordHeader,
  recordSyncedPosition,
  verifyBody,
  verifyRecordHeader,
} from './record.ts';

const CHUNK_BYTES = 1024 * 1024;

export interface ScannedRecord {
  readonly position: number;
  readonly header: PortableHeader;
  readonly syncedPosition: number;
  /** Header and body, a slice of the read buffer. */
  readonly raw: Buffer;
  /** False: the header verifies, and the body does not match its CRC. */
  readonly intact: boolean;
}

/** A place at which no record with an intact header lies. */
export interface BadPlace {
  readonly position: number;
  readonly reason: string;
  /** Of a record that cannot be used all the same. */
  readonly header?: Pick<PortableHeader, 'shard' | 'index' | 'term'>;
}

export interface ScanEnd {
  /** Where the last record ends. */
  readonly end: number;
  readonly records: number;
  /** Undefined: the walk ended exactly at the limit. */
  readonly bad: BadPlace | undefined;
}

/**
 * Calls `visit` for each record from `from` on, in order, and stops at `limit` or at the first
 * place where no header verifies.
 */
export async function scanRecords(
  files: Files,
  handle: Handle,
  segment: SegmentIdentity,
  from: number,
  limit: number,
  visit: (record: ScannedRecord) => void,
): Promise<ScanEnd> {
  let position = from;
  let records = 0;
  let wanted = CHUNK_BYTES;
  while (position < limit) {
    const chunk = await readAt(files, handle, position, Math.min(wanted, limit - position));
    const whole = chunk.length === limit - position || chunk.length < wanted;
    let at = 0;
    let next: Step = { kind: 'more', bytes: CHUNK_BYTES };
    while (at < chunk.length) {
      next = readStep(chunk, at, segment, position + at);
      if (next.kind !== 'record') break;
      visit(next.record);
      records += 1;
      at += next.record.raw.length;
    }
    position += at;
    if (next.kind === 'bad') return { end: position, records, bad: next.bad };
    if (next.kind === 'more' && at < chunk.length && whole) {
      return { end: position, records, bad: { position, reason: 'record cut short' } };
    }
    if (chunk.length === 0) break;
    wanted = next.kind === 'more' ? Math.max(next.bytes, CHUNK_BYTES) : CHUNK_BYTES;
  }
  if (position >= limit) return { end: position, records, bad: undefined };
  return { end: position, records, bad: { position, reason: 'the file ends here' } };
}

type Step =
  | { readonly kind: 'record'; readonly record: ScannedRecord }
  | { readonly kind: 'more'; readonly bytes: number }
  | { readonly kind: 'bad'; readonly bad: BadPlace };

function readStep(chunk: Buffer, at: number, segment: SegmentIdentity, position: number): Step {
  if (chunk.length - at < RECORD_HEADER_BYTES) return { kind: 'more', bytes: CHUNK_BYTES };
  const bad = (reason: string): Step => ({ kind: 'bad', bad: { position, reason } });
  if (!verifyRecordHeader(chunk, at, segment, position)) return bad('no intact record header');
  let header: PortableHeader;
  try {
    header = readRecordHeader(chunk, at);
  } catch (error) {
    return bad(error instanceof Error ? error.message : 'unreadable header');
  }
  const total = RECORD_HEADER_BYTES + header.bodyLength;
  if (chunk.length - at < total) return { kind: 'more', bytes: total };
  const intact = verifyBody(chunk, at + RECORD_HEADER_BYTES, header);
  const raw = chunk.subarray(at, at + total);
  const syncedPosition = recordSyncedPosition(chunk, at);
  return { kind: 'record', record: { position, header, syncedPosition, raw, intact } };
}

export interface LaterRecords {
  /** Where the first of them behind `from` begins; undefined = there is none. */
  readonly first: number | undefined;
  /** The highest synced position that any of them states. */
  readonly synced: number;
}

/**
 * Looks for headers that verify at or behind `from`. Such a record names its own position and
 * segment, so nothing passes for one. What it says was synced holds, though its own body is torn.
 */
export async function laterRecords(
  files: Files,
  handle: Handle,
  segment: SegmentIdentity,
  from: number,
  size: number,
): Promise<LaterRecords> {
  const magic = Buffer.alloc(4);
  magic.writeUInt32LE(RECORD_MAGIC);
  let first: number | undefined;
  let synced = 0;
  for (let base = from; base < size; base += CHUNK_BYTES) {
    const wanted = Math.min(CHUNK_BYTES + RECORD_HEADER_BYTES, size - base);
    const chunk = await readAt(files, handle, base, wanted);
    const last = chunk.length - RECORD_HEADER_BYTES;
    let at = chunk.indexOf(magic);
    while (at >= 0 && at <= last) {
      if (verifyRecordHeader(chunk, at, segment, base + at)) {
        if (base + at > from) first ??= base + at;
        synced = Math.max(synced, recordSyncedPosition(chunk, at));
      }
      at = chunk.indexOf(magic, at + 1);
    }
  }
  return { first, synced };
}

/** How many bytes from `from` on are not zero-filled space: up to the last byte that is not 0. */
export async function bytesBeforeZeros(
  files: Files,
  handle: Handle,
  from: number,
  size: number,
): Promise<number> {
  let end = from;
  for (let base = from; base < size; base += CHUNK_BYTES) {
    const chunk = await readAt(files, handle, base, Math.min(CHUNK_BYTES, size - base));
    let last = chunk.length;
    while (last > 0 && chunk[last - 1] === 0) last -= 1;
    if (last > 0) end = base + last;
  }
  return end - from;
}

async function readAt(
  files: Files,
  handle: Handle,
  position: number,
  bytes: number,
): Promise<Buffer> {
  const target = Buffer.allocUnsafeSlow(bytes);
  const got = await promised<number>((done) => files.read(handle, target, position, done));
  return target.subarray(0, got);
}
