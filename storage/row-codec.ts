/**
 * Values in LevelDB. LevelDB does not check its blocks when it reads them, so every value carries
 * its own checksum over format, key and body: `[row format u8][body][crc32 u32be]`.
 */
import { strict as assert } from 'node:assert';
import type { LogIndex, ShardId, ShardTimeMs, Term } from '../raft/types.ts';
import type { KeptBatch } from './batch-window.ts';
import { continueCrc } from './crc.ts';
import { StorageError } from './errors.ts';
import { asBuffer, readUint64, writeUint64 } from './keys.ts';

const ROW_FORMAT = 1;
/** Format byte and checksum. */
export const SEAL_BYTES = 5;

/** One visible batch of a queue: which entry holds it. Same shape as the broker's port. */
export interface IndexRow {
  readonly queueId: number;
  readonly baseOffset: number;
  readonly count: number;
  readonly index: LogIndex;
  readonly term: Term;
  readonly storedAtMs: ShardTimeMs;
  readonly cumulativeBytes: number;
}

/** Everything up to this entry of the shard is in the store. */
export interface AppliedMark {
  readonly shard: ShardId;
  readonly index: LogIndex;
  readonly term: Term;
  readonly timeMs: ShardTimeMs;
}

export interface FormatRecord {
  readonly version: number;
  /** Names the owner: whoever opens must give the same. */
  readonly identity: string;
}

export function seal(key: Uint8Array, body: Uint8Array): Buffer {
  const sealed = Buffer.allocUnsafe(body.length + SEAL_BYTES);
  sealed[0] = ROW_FORMAT;
  sealed.set(body, 1);
  sealed.writeUInt32BE(checksum(ROW_FORMAT, key, body), body.length + 1);
  return sealed;
}

/** The body again, as a view. */
export function unseal(key: Uint8Array, bytes: Uint8Array): Uint8Array {
  const sealed = asBuffer(bytes);
  const end = sealed.length - 4;
  if (end < 1) throw damagedRow(key, `${sealed.length} bytes`);
  const format = sealed[0] as number;
  const body = bytes.subarray(1, end);
  if (sealed.readUInt32BE(end) !== checksum(format, key, body)) {
    throw damagedRow(key, 'checksum does not match');
  }
  if (format !== ROW_FORMAT) throw unknownFormat(`state row format ${format}`);
  return body;
}

/** The format is the seed: no copy is needed to cover all three. */
function checksum(format: number, key: Uint8Array, body: Uint8Array): number {
  return continueCrc(continueCrc(format, key), body);
}

const INDEX_BODY_BYTES = 36;

export function encodeIndexBody(row: IndexRow): Buffer {
  assert(row.count > 0, 'an index row stands for at least one message');
  const body = Buffer.allocUnsafe(INDEX_BODY_BYTES);
  body.writeUInt32BE(row.count, 0);
  writeUint64(body, row.index, 4);
  writeUint64(body, row.term, 12);
  writeUint64(body, row.storedAtMs, 20);
  writeUint64(body, row.cumulativeBytes, 28);
  return body;
}

export function lastOffsetOf(row: IndexRow): number {
  return row.baseOffset + row.count - 1;
}

export function decodeIndexBody(queueId: number, lastOffset: number, bytes: Uint8Array): IndexRow {
  const body = asBuffer(bytes);
  const count = body.length === INDEX_BODY_BYTES ? body.readUInt32BE(0) : 0;
  if (count === 0 || count > lastOffset + 1) {
    throw new StorageError('DATA_LOSS', `index row of queue ${queueId} at ${lastOffset}`);
  }
  return {
    queueId,
    baseOffset: lastOffset - count + 1,
    count,
    index: readUint64(body, 4),
    term: readUint64(body, 12),
    storedAtMs: readUint64(body, 20),
    cumulativeBytes: readUint64(body, 28),
  };
}

const APPLIED_BODY_BYTES = 24;

export function encodeAppliedBody(mark: AppliedMark): Buffer {
  const body = Buffer.allocUnsafe(APPLIED_BODY_BYTES);
  writeUint64(body, mark.index, 0);
  writeUint64(body, mark.term, 8);
  writeUint64(body, mark.timeMs, 16);
  return body;
}

export function decodeAppliedBody(shard: ShardId, bytes: Uint8Array): AppliedMark {
  const body = asBuffer(bytes);
  if (body.length !== APPLIED_BODY_BYTES) {
    throw new StorageError('DATA_LOSS', `applied row of shard ${shard}: ${body.length} bytes`);
  }
  const [index, term, timeMs] = [readUint64(body, 0), readUint64(body, 8), readUint64(body, 16)];
  return { shard, index, term, timeMs };
}

const BATCH_BODY_BYTES = 16;

export function encodeBatchBody({ bytes, first }: Omit<KeptBatch, 'number'>): Buffer {
  const body = Buffer.allocUnsafe(BATCH_BODY_BYTES);
  writeUint64(body, bytes, 0);
  writeUint64(body, first, 8);
  return body;
}

export function decodeBatchBody(number: number, stored: Uint8Array): KeptBatch {
  const body = asBuffer(stored);
  if (body.length !== BATCH_BODY_BYTES) {
    throw new StorageError('DATA_LOSS', `batch row ${number}: ${body.length} bytes`);
  }
  return { number, bytes: readUint64(body, 0), first: readUint64(body, 8) };
}

/** A drop (its start offset), a swap: one integer. */
export function encodeIntegerBody(value: number): Buffer {
  const body = Buffer.allocUnsafe(8);
  writeUint64(body, value, 0);
  return body;
}

export function decodeIntegerBody(bytes: Uint8Array): number {
  if (bytes.length !== 8) throw new StorageError('DATA_LOSS', `integer of ${bytes.length} bytes`);
  return readUint64(asBuffer(bytes), 0);
}

export function encodeFormatBody(record: FormatRecord): Buffer {
  const version = Buffer.allocUnsafe(4);
  version.writeUInt32BE(record.version, 0);
  return Buffer.concat([version, Buffer.from(record.identity, 'utf8')]);
}

export function decodeFormatBody(bytes: Uint8Array): FormatRecord {
  const body = asBuffer(bytes);
  if (body.length < 4) throw new StorageError('DATA_LOSS', 'format record is too short');
  return { version: body.readUInt32BE(0), identity: body.toString('utf8', 4) };
}

function damagedRow(key: Uint8Array, why: string): StorageError {
  const shown = asBuffer(key).subarray(0, 24).toString('hex');
  return new StorageError('DATA_LOSS', `state row ${shown}: ${why}`);
}

export function unknownFormat(what: string): StorageError {
  return new StorageError('UNKNOWN_FORMAT', `${what} is not known to this version`);
}
