/**
 * What one node answers to a poll that another node asks it to join: encoded checks, and before
 * them what the asking node must name once they reached a producer. Empty when nothing is due.
 *
 *   collected = length:u32 json PollChecksResponse
 */
import type { LeaseRef } from '../broker/transaction-commands.ts';
import { decodeJson, encodeJson } from './internal-methods.ts';
import { encodeChecks } from './responses.ts';
import { asBuffer } from './wire.ts';

/** The checks of one shard. */
export interface ShardLeases {
  readonly shard: number;
  readonly leases: readonly LeaseRef[];
}

export interface CollectedChecks {
  readonly leases: readonly ShardLeases[];
  /** PollChecksResponse. */
  readonly answer: Uint8Array;
}

const LENGTH_BYTES = 4;

export function encodeCollected(
  leases: readonly ShardLeases[],
  checks: readonly Uint8Array[],
): Buffer {
  if (checks.length === 0) return Buffer.alloc(0);
  const head = encodeJson(leases);
  const length = Buffer.alloc(LENGTH_BYTES);
  length.writeUInt32BE(head.length);
  return Buffer.concat([length, head, encodeChecks(checks)]);
}

export function decodeCollected(bytes: Uint8Array): CollectedChecks {
  if (bytes.length === 0) return { leases: [], answer: bytes };
  const buffer = asBuffer(bytes);
  const end = LENGTH_BYTES + buffer.readUInt32BE(0);
  const leases = decodeJson<ShardLeases[]>(buffer.subarray(LENGTH_BYTES, end));
  return { leases, answer: buffer.subarray(end) };
}
