/**
 * Every key that Holdfast puts into LevelDB. A key is one kind byte, then big-endian integers, so
 * that byte order is numeric order: this must stay so, range reads depend on it. Kinds are never
 * renumbered or reused. `before` bounds are exclusive.
 */
import { strict as assert } from 'node:assert';
import type { ShardId } from '../raft/types.ts';
import { StorageError } from './errors.ts';

export const KeyKind = {
  /** Format version and owner of the directory: written last when a store is built. */
  format: 0x01,
  /** One per atomic batch, numbered node-wide: a gap shows a lost batch. */
  batch: 0x02,
  /** How far a shard's effects are in here; moves in the batch that holds them. */
  applied: 0x03,
  /** Index rows of a queue that are being deleted in the background. */
  indexDrop: 0x04,
  /** The shard's rows are being erased, or replaced: what is there of it counts for nothing. */
  swap: 0x05,
  queueIndex: 0x10,
  queue: 0x20,
  producer: 0x21,
  transaction: 0x22,
  callerTransaction: 0x23,
  lateReference: 0x24,
  group: 0x25,
  groupOffset: 0x26,
  topic: 0x27,
  meta: 0x28,
  delayed: 0x29,
  transactionPart: 0x2a,
  offsetHold: 0x2b,
  subscription: 0x2c,
  pendingDelivery: 0x2d,
  groupMember: 0x2e,
  dedupKey: 0x2f,
  deadLetter: 0x30,
  offsetHistory: 0x31,
  featureLevel: 0x40,
  logFloor: 0x41,
  compactedKey: 0x42,
} as const;
export type KeyKind = (typeof KeyKind)[keyof typeof KeyKind];

/** The small-state tables: loaded whole at open, and what a checkpoint holds. Ascending. */
export const TABLE_KINDS = [
  KeyKind.queue,
  KeyKind.producer,
  KeyKind.transaction,
  KeyKind.callerTransaction,
  KeyKind.lateReference,
  KeyKind.group,
  KeyKind.groupOffset,
  KeyKind.topic,
  KeyKind.meta,
  KeyKind.delayed,
  KeyKind.transactionPart,
  KeyKind.offsetHold,
  KeyKind.subscription,
  KeyKind.pendingDelivery,
  KeyKind.groupMember,
  KeyKind.dedupKey,
  KeyKind.deadLetter,
  KeyKind.offsetHistory,
  KeyKind.featureLevel,
  KeyKind.logFloor,
  KeyKind.compactedKey,
] as const;
export type TableKind = (typeof TABLE_KINDS)[number];

export interface KeySpec {
  readonly name: string;
  /** Format version that introduced the kind. */
  readonly since: number;
  readonly minBytes: number;
  readonly maxBytes: number;
}

export const FORMAT_VERSION = 5;
/** Kind byte and shard. */
const SHARD_PREFIX_BYTES = 5;
/** Room for a table's own key: the broker's limits on names and ids are far below. */
export const MAX_TABLE_KEY_BYTES = 16 * 1024;

const table = (name: string, since = 1): KeySpec => ({
  name,
  since,
  minBytes: SHARD_PREFIX_BYTES,
  maxBytes: SHARD_PREFIX_BYTES + MAX_TABLE_KEY_BYTES,
});
const fixed = (name: string, bytes: number, since = 1): KeySpec => ({
  name,
  since,
  minBytes: bytes,
  maxBytes: bytes,
});

export const KEY_SPECS: Readonly<Record<KeyKind, KeySpec>> = Object.freeze({
  [KeyKind.format]: fixed('format', 1),
  [KeyKind.batch]: fixed('batch', 9),
  [KeyKind.applied]: fixed('applied', 5),
  [KeyKind.indexDrop]: fixed('index-drop', 9),
  [KeyKind.swap]: fixed('swap', 5, 2),
  [KeyKind.queueIndex]: fixed('queue-index', 17),
  [KeyKind.queue]: table('queue'),
  [KeyKind.producer]: table('producer'),
  [KeyKind.transaction]: table('transaction'),
  [KeyKind.callerTransaction]: table('caller-transaction'),
  [KeyKind.lateReference]: table('late-reference'),
  [KeyKind.group]: table('group'),
  [KeyKind.groupOffset]: table('group-offset'),
  [KeyKind.topic]: table('topic'),
  [KeyKind.meta]: table('meta'),
  [KeyKind.delayed]: table('delayed', 4),
  [KeyKind.subscription]: table('subscription', 5),
  [KeyKind.pendingDelivery]: table('pending-delivery', 5),
  [KeyKind.groupMember]: table('group-member', 5),
  [KeyKind.dedupKey]: table('dedup-key', 5),
  [KeyKind.transactionPart]: table('transaction-part', 5),
  [KeyKind.offsetHold]: table('offset-hold', 5),
  [KeyKind.deadLetter]: table('dead-letter', 5),
  [KeyKind.offsetHistory]: table('offset-history', 5),
  [KeyKind.featureLevel]: table('feature-level', 5),
  [KeyKind.logFloor]: table('log-floor', 5),
  [KeyKind.compactedKey]: table('compacted-key', 5),
});

const UINT32_SIZE = 0x1_0000_0000;

/** Offsets, indexes and times: 64 bits on disk, a safe integer in memory. */
export function writeUint64(target: Buffer, value: number, at: number): void {
  assert(Number.isSafeInteger(value) && value >= 0, `${value} is not an unsigned safe integer`);
  target.writeUInt32BE(Math.floor(value / UINT32_SIZE), at);
  target.writeUInt32BE(value % UINT32_SIZE, at + 4);
}

export function readUint64(source: Buffer, at: number): number {
  const value = source.readUInt32BE(at) * UINT32_SIZE + source.readUInt32BE(at + 4);
  if (!Number.isSafeInteger(value)) {
    throw new StorageError('DATA_LOSS', `stored integer ${value} exceeds 2^53`);
  }
  return value;
}

/** Bytes from LevelDB or a file as a Buffer over the same memory. */
export function asBuffer(bytes: Uint8Array): Buffer {
  if (Buffer.isBuffer(bytes)) return bytes;
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

export function formatKey(): Buffer {
  return Buffer.from([KeyKind.format]);
}

export function batchKey(number: number): Buffer {
  const key = Buffer.allocUnsafe(9);
  key[0] = KeyKind.batch;
  writeUint64(key, number, 1);
  return key;
}

export function appliedKey(shard: ShardId): Buffer {
  return shardPrefix(KeyKind.applied, shard, SHARD_PREFIX_BYTES);
}

export function swapKey(shard: ShardId): Buffer {
  return shardPrefix(KeyKind.swap, shard, SHARD_PREFIX_BYTES);
}

export function indexDropKey(shard: ShardId, queueId: number): Buffer {
  const key = shardPrefix(KeyKind.indexDrop, shard, 9);
  key.writeUInt32BE(queueId, 5);
  return key;
}

/**
 * Named by the LAST offset of the batch, so that one forward seek to any offset finds the batch
 * that holds it.
 */
export function indexKey(shard: ShardId, queueId: number, lastOffset: number): Buffer {
  const key = shardPrefix(KeyKind.queueIndex, shard, 17);
  key.writeUInt32BE(queueId, 5);
  writeUint64(key, lastOffset, 9);
  return key;
}

export function tableKey(kind: TableKind, shard: ShardId, key: Uint8Array): Buffer {
  assert(key.length <= MAX_TABLE_KEY_BYTES, `table key of ${key.length} bytes`);
  const full = shardPrefix(kind, shard, SHARD_PREFIX_BYTES + key.length);
  full.set(key, SHARD_PREFIX_BYTES);
  return full;
}

function shardPrefix(kind: KeyKind, shard: ShardId, bytes: number): Buffer {
  const key = Buffer.allocUnsafe(bytes);
  key[0] = kind;
  key.writeUInt32BE(shard, 1);
  return key;
}

/** Half-open: from `from` up to, not including, `before`. */
export interface KeyRange {
  readonly from: Uint8Array;
  readonly before: Uint8Array;
}

/** All keys of a kind, or of one shard in it. */
export function kindRange(kind: KeyKind, shard?: ShardId): KeyRange {
  if (shard === undefined) return { from: Buffer.from([kind]), before: Buffer.from([kind + 1]) };
  const from = shardPrefix(kind, shard, SHARD_PREFIX_BYTES);
  const last = shard === UINT32_SIZE - 1;
  return {
    from,
    before: last ? Buffer.from([kind + 1]) : shardPrefix(kind, shard + 1, SHARD_PREFIX_BYTES),
  };
}

/** Index rows of a queue whose last offset is in [fromOffset, beforeOffset). */
export function indexRange(
  shard: ShardId,
  queueId: number,
  fromOffset: number,
  beforeOffset: number = Number.MAX_SAFE_INTEGER,
): KeyRange {
  const before = indexKey(shard, queueId, beforeOffset);
  return { from: indexKey(shard, queueId, fromOffset), before };
}

export interface DecodedKey {
  readonly kind: KeyKind;
  /** 0 for kinds without a shard. */
  readonly shard: ShardId;
  /** queueIndex and indexDrop. */
  readonly queueId: number;
  /** Batch number, or the last offset of an index row. */
  readonly number: number;
  /** The table's own key. */
  readonly rest: Uint8Array;
}

export function isKeyKind(byte: number | undefined): byte is KeyKind {
  return byte !== undefined && Object.hasOwn(KEY_SPECS, byte);
}

export function isTableKind(byte: number | undefined): byte is TableKind {
  return (TABLE_KINDS as readonly (number | undefined)[]).includes(byte);
}

/** The gateway for keys read back: anything that no writer here makes is damage. */
export function decodeKey(bytes: Uint8Array): DecodedKey {
  const key = asBuffer(bytes);
  const kind = key[0];
  if (!isKeyKind(kind)) throw damagedKey(key, 'unknown kind');
  const { minBytes, maxBytes } = KEY_SPECS[kind];
  if (key.length < minBytes || key.length > maxBytes) throw damagedKey(key, 'wrong length');
  const hasShard = kind !== KeyKind.format && kind !== KeyKind.batch;
  const hasQueue = kind === KeyKind.queueIndex || kind === KeyKind.indexDrop;
  return {
    kind,
    shard: hasShard ? key.readUInt32BE(1) : 0,
    queueId: hasQueue ? key.readUInt32BE(5) : 0,
    number: keyNumber(kind, key),
    rest: isTableKind(kind) ? bytes.subarray(SHARD_PREFIX_BYTES) : key.subarray(0, 0),
  };
}

function keyNumber(kind: KeyKind, key: Buffer): number {
  if (kind === KeyKind.batch) return readUint64(key, 1);
  return kind === KeyKind.queueIndex ? readUint64(key, 9) : 0;
}

function damagedKey(key: Buffer, why: string): StorageError {
  const shown = key.subarray(0, 24).toString('hex');
  return new StorageError('DATA_LOSS', `state key ${shown} (${key.length} bytes): ${why}`);
}
