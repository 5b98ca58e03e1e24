/**
 * Raft's messages as bytes. A `messages` frame is
 *
 *   head: message …                      as many as fit
 *   bulk: the bodies of all entries and the data of all snapshot chunks in it, in order
 *
 *   message: u8 type | shard | from | to | term | fields of the type     (varints, flags as u8)
 *   append:  u8 wantsWritten | prevIndex | prevTerm | commit | count | portable header × count
 *   alive:   u8 type | wallMs                    (from node to node: no shard, no replicas)
 *
 * Portable headers (storage/record.ts) and bodies are the same bytes as on disk.
 */
import type { PeerMessageType } from '../../raft/messages.ts';

export const MAX_TERM = 2 ** 48 - 1;
export const MAX_SHARD = 2 ** 32 - 1;
/** Of one membership, joint halves counted apart. Five voters and a learner per other node fit. */
export const MAX_MEMBERS = 1000;
export const MAX_INCARNATION_BYTES = 100;

/** On the wire: never renumber. */
export const MESSAGE_NUMBERS: Readonly<Record<PeerMessageType, number>> = {
  preVote: 1,
  vote: 2,
  preVoteReply: 3,
  voteReply: 4,
  append: 5,
  appendReply: 6,
  written: 7,
  heartbeat: 8,
  heartbeatReply: 9,
  timeoutNow: 10,
  alive: 11,
  invite: 12,
  snapshotChunk: 13,
  snapshotReply: 14,
  repairRequest: 15,
  repairReply: 16,
  snapshotRequest: 17,
};

export const MESSAGE_TYPES: ReadonlyMap<number, PeerMessageType> = new Map(
  (Object.keys(MESSAGE_NUMBERS) as PeerMessageType[]).map((type) => [MESSAGE_NUMBERS[type], type]),
);
