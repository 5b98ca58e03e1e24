/**
 * The record format (README, "Record"). A record is a node-local envelope, a portable header and a
 * body. The portable header and the body are the same bytes in every replica's log and on the wire;
 * only the envelope is the node's own: a stale or misplaced record never passes for another.
 */
import assert from 'node:assert';
import { crc32 } from 'node:zlib';
import type { Entry, ReplicaId, ShardId, ShardTimeMs, Term } from '../raft/types.ts';
import { EntryType } from '../raft/types.ts';
import { continueCrc } from './crc.ts';

export const ENVELOPE_BYTES = 24;
export const PORTABLE_HEADER_BYTES = 40;
export const RECORD_HEADER_BYTES = ENVELOPE_BYTES + PORTABLE_HEADER_BYTES;
/** The largest body: an API request of 16 MiB and room for its head. */
export const MAX_BODY_BYTES = 17 * 1024 * 1024;
/** "HFR1" read as little endian. */
export const RECORD_MAGIC = 0x31524648;

/** Types below 16 are `EntryType`. The numbers are on disk: never renumber. */
export const RecordType = {
  state: 16,
  /** An entry fetched again from a peer; voids nothing (internals rule 1). */
  repair: 17,
  /** A state that voids all entries before it: the shard's log starts anew after its log start. */
  reset: 18,
  /** The shard has left this node; `index` is its replica id. No body. */
  drop: 19,
} as const;

const MAX_TERM = 2 ** 48 - 1;
const TWO_32 = 2 ** 32;

export interface PortableHeader {
  /** `EntryType` or `RecordType`. */
  readonly type: number;
  /** Of a repair: the type of its entry. Else 0. */
  readonly flags: number;
  readonly shard: ShardId;
  readonly term: Term;
  /** Of a drop: the replica id. */
  readonly index: number;
  readonly timeMs: ShardTimeMs;
  readonly headLength: number;
  /** Head and payload together. */
  readonly bodyLength: number;
  readonly bodyCrc: number;
}

/** Which file a record must belong to. */
export interface SegmentIdentity {
  readonly epoch: number;
  readonly sequence: number;
}

export function isEntryType(type: number): type is EntryType {
  return type === EntryType.noop || type === EntryType.command || type === EntryType.config;
}

export function bodyCrcOf(head: Uint8Array, payload: Uint8Array): number {
  return continueCrc(continueCrc(0, head), payload);
}

export function writeSafeInteger(target: Buffer, at: number, value: number): void {
  assert(Number.isSafeInteger(value) && value >= 0, 'not a safe integer');
  target.writeUInt32LE(value % TWO_32, at);
  target.writeUInt32LE(Math.floor(value / TWO_32), at + 4);
}

/** NaN if the stored number is not a safe integer. */
export function readSafeInteger(source: Buffer, at: number): number {
  const value = source.readUInt32LE(at + 4) * TWO_32 + source.readUInt32LE(at);
  return Number.isSafeInteger(value) ? value : Number.NaN;
}

function writePortable(target: Buffer, at: number, header: PortableHeader): void {
  assert(header.term >= 0 && header.term <= MAX_TERM, 'term out of range');
  assert(header.bodyLength <= MAX_BODY_BYTES, 'body over MAX_BODY_BYTES');
  target[at] = header.type;
  target[at + 1] = header.flags;
  target.writeUInt16LE(header.term % 65536, at + 2);
  target.writeUInt32LE(Math.floor(header.term / 65536), at + 4);
  target.writeUInt32LE(header.shard, at + 8);
  target.writeUInt32LE(header.bodyCrc, at + 12);
  target.writeUInt32LE(header.headLength, at + 16);
  target.writeUInt32LE(header.bodyLength, at + 20);
  writeSafeInteger(target, at + 24, header.index);
  writeSafeInteger(target, at + 32, header.timeMs);
}

/** The first `PORTABLE_HEADER_BYTES` of an entry, as stored by every replica and sent to peers. */
export function writePortableHeader(
  target: Buffer,
  at: number,
  shard: ShardId,
  entry: Entry,
): void {
  writeEntry(target, at, shard, entry, entry.type, 0);
}

function writeEntry(
  target: Buffer,
  at: number,
  shard: ShardId,
  entry: Entry,
  type: number,
  flags: number,
): void {
  writePortable(target, at, {
    type,
    flags,
    shard,
    term: entry.term,
    index: entry.index,
    timeMs: entry.timeMs,
    headLength: entry.head.length,
    bodyLength: entry.head.length + entry.payload.length,
    bodyCrc: entry.bodyCrc,
  });
}

/** Throws a `RangeError` on values that no writer produces. Says nothing about the body's CRC. */
export function readPortableHeader(source: Buffer, at: number): PortableHeader {
  const header: PortableHeader = {
    type: source.readUInt8(at),
    flags: source.readUInt8(at + 1),
    term: source.readUInt32LE(at + 4) * 65536 + source.readUInt16LE(at + 2),
    shard: source.readUInt32LE(at + 8),
    bodyCrc: source.readUInt32LE(at + 12),
    headLength: source.readUInt32LE(at + 16),
    bodyLength: source.readUInt32LE(at + 20),
    index: readSafeInteger(source, at + 24),
    timeMs: readSafeInteger(source, at + 32),
  };
  const problem = implausible(header);
  if (problem !== undefined) throw new RangeError(problem);
  return header;
}

function implausible(header: PortableHeader): string | undefined {
  const { type, flags } = header;
  const isRepair = type === RecordType.repair;
  if (!isEntryType(type) && (type < RecordType.state || type > RecordType.drop)) {
    return `unknown record type ${type}`;
  }
  if (isRepair ? !isEntryType(flags) : flags !== 0) return `unknown record flags ${flags}`;
  if (header.bodyLength > MAX_BODY_BYTES) return `body of ${header.bodyLength} bytes`;
  if (header.headLength > header.bodyLength) return 'head longer than the body';
  if (Number.isNaN(header.index) || Number.isNaN(header.timeMs)) return 'number over 2^53';
  if ((isRepair || isEntryType(type)) && (header.index === 0 || header.term === 0)) {
    return 'entry without index or term';
  }
  return undefined;
}

/** Puts the node's own envelope before a portable header that is already in place. */
export function sealEnvelope(
  target: Buffer,
  at: number,
  segment: SegmentIdentity,
  position: number,
  syncedPosition: number,
): void {
  target.writeUInt32LE(RECORD_MAGIC, at);
  target.writeUInt32LE(segment.epoch, at + 8);
  target.writeUInt32LE(segment.sequence, at + 12);
  target.writeUInt32LE(position, at + 16);
  target.writeUInt32LE(syncedPosition, at + 20);
  target.writeUInt32LE(crc32(target.subarray(at + 8, at + RECORD_HEADER_BYTES)), at + 4);
}

/** Of a `repair` record; its envelope is sealed by whoever knows where it will lie. */
export function writeRepairHeader(target: Buffer, at: number, shard: ShardId, entry: Entry): void {
  writeEntry(target, at + ENVELOPE_BYTES, shard, entry, RecordType.repair, entry.type);
}

/** Of a `state` or `reset` record. */
export function writeStateHeader(
  target: Buffer,
  at: number,
  type: typeof RecordType.state | typeof RecordType.reset,
  shard: ShardId,
  body: Buffer,
): void {
  writePortable(target, at + ENVELOPE_BYTES, {
    type,
    flags: 0,
    shard,
    term: 0,
    index: 0,
    timeMs: 0,
    headLength: body.length,
    bodyLength: body.length,
    bodyCrc: crc32(body),
  });
}

export function writeDropHeader(
  target: Buffer,
  at: number,
  shard: ShardId,
  replica: ReplicaId,
): void {
  writePortable(target, at + ENVELOPE_BYTES, {
    type: RecordType.drop,
    flags: 0,
    shard,
    term: 0,
    index: replica,
    timeMs: 0,
    headLength: 0,
    bodyLength: 0,
    bodyCrc: 0,
  });
}

/**
 * Cheap test for walking over records of other shards: right place, right file. The length is
 * believed; a damaged one leads to bytes that fail this same test.
 */
export function looksLikeRecord(
  source: Buffer,
  at: number,
  segment: SegmentIdentity,
  position: number,
): boolean {
  return (
    source.readUInt32LE(at) === RECORD_MAGIC &&
    source.readUInt32LE(at + 16) === position &&
    source.readUInt32LE(at + 12) === segment.sequence &&
    source.readUInt32LE(at + 8) === segment.epoch
  );
}

/** Full test of envelope and header CRC. */
export function verifyRecordHeader(
  source: Buffer,
  at: number,
  segment: SegmentIdentity,
  position: number,
): boolean {
  return (
    looksLikeRecord(source, at, segment, position) &&
    source.readUInt32LE(at + 4) === crc32(source.subarray(at + 8, at + RECORD_HEADER_BYTES))
  );
}

export function recordShard(source: Buffer, at: number): ShardId {
  return source.readUInt32LE(at + ENVELOPE_BYTES + 8);
}

export function recordBodyLength(source: Buffer, at: number): number {
  return source.readUInt32LE(at + ENVELOPE_BYTES + 20);
}

export function recordSyncedPosition(source: Buffer, at: number): number {
  return source.readUInt32LE(at + 20);
}

export function readRecordHeader(source: Buffer, at: number): PortableHeader {
  return readPortableHeader(source, at + ENVELOPE_BYTES);
}

/** The entry's bytes are slices of `source`. The caller has verified the header. */
export function entryFrom(source: Buffer, bodyAt: number, header: PortableHeader): Entry {
  const type = header.type === RecordType.repair ? header.flags : header.type;
  assert(isEntryType(type), 'not an entry');
  const payloadAt = bodyAt + header.headLength;
  return {
    index: header.index,
    term: header.term,
    type,
    timeMs: header.timeMs,
    head: source.subarray(bodyAt, payloadAt),
    payload: source.subarray(payloadAt, bodyAt + header.bodyLength),
    bodyCrc: header.bodyCrc,
  };
}

export function verifyBody(source: Buffer, bodyAt: number, header: PortableHeader): boolean {
  return crc32(source.subarray(bodyAt, bodyAt + header.bodyLength)) === header.bodyCrc;
}
