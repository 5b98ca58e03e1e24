/**
 * What one node answers to a poll that another node asks it to join: encoded checks, and before
 * them what the asking node must name once they reached a producer. Empty when nothing is due.
 */
import type { LeaseRef } from '../broker/transaction-commands.ts';
import { decodeFrame, encodeFrame } from './json-frame.ts';
import { encodeChecks } from './responses.ts';

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

export function encodeCollected(
  leases: readonly ShardLeases[],
  checks: readonly Uint8Array[],
): Buffer {
  if (checks.length === 0) return Buffer.alloc(0);
  return encodeFrame(leases, encodeChecks(checks));
}

export function decodeCollected(frame: Uint8Array): CollectedChecks {
  if (frame.length === 0) return { leases: [], answer: frame };
  const { head: leases, bytes: answer } = decodeFrame<ShardLeases[]>(frame);
  return { leases, answer };
}
