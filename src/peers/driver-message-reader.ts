/** What drivers say to each other about a shard; the core never sees it. */
import { crc32 } from 'node:zlib';
import type {
  Invite,
  RepairReply,
  RepairRequest,
  ShardMessage,
  SnapshotChunk,
  SnapshotReply,
  SnapshotRequest,
} from '../../raft/messages.ts';
import type { ByteReader } from './byte-reader.ts';
import { readMembership } from './membership-reader.ts';
import {
  type Address,
  check,
  positive,
  readEntryBody,
  readEntryId,
  readFlags,
  readHeader,
} from './message-fields.ts';
import { MAX_INCARNATION_BYTES } from './message-format.ts';

type DriverMessageType = (
  | Invite
  | SnapshotChunk
  | SnapshotReply
  | SnapshotRequest
  | RepairRequest
  | RepairReply
)['type'];

export function readDriverMessage(
  type: DriverMessageType,
  address: Address,
  head: ByteReader,
  bulk: ByteReader,
): ShardMessage {
  switch (type) {
    case 'invite':
      return readInvite(address, head);
    case 'snapshotChunk':
      return readSnapshotChunk(address, head, bulk);
    case 'snapshotReply':
      return readSnapshotReply(address, head);
    case 'snapshotRequest':
      return { type, ...address, through: head.varint() };
    case 'repairRequest':
      return { type, ...address, id: readEntryId(head) };
    case 'repairReply':
      return readRepairReply(address, head, bulk);
    default:
      return unreachable(type);
  }
}

function readInvite({ shard, from, to, term }: Address, head: ByteReader): Invite {
  const replaces = readFlags(head, 1) === 1;
  const incarnation = head.text(MAX_INCARNATION_BYTES);
  const logStart = readEntryId(head);
  const membership = readMembership(head);
  check(logStart.term <= positive(term), 'invite from a leader behind its own log');
  const type = 'invite';
  return { type, shard, from, to, term, incarnation, logStart, membership, replaces };
}

function readSnapshotChunk(address: Address, head: ByteReader, bulk: ByteReader): SnapshotChunk {
  const { shard, from, to, term } = address;
  const id = readEntryId(head);
  const totalBytes = head.varint();
  const offset = head.varint();
  const length = head.varint();
  const crc = head.u32();
  check(id.index > 0 && id.term <= positive(term), 'snapshot of nothing');
  check(offset <= totalBytes && length <= totalBytes - offset, 'chunk past the end');
  const at = bulk.skip(length);
  const data = bulk.source.subarray(at, at + length);
  check(crc32(data) === crc, 'CRC of a snapshot chunk is wrong');
  return { type: 'snapshotChunk', shard, from, to, term, id, totalBytes, offset, data };
}

function readSnapshotReply(address: Address, head: ByteReader): SnapshotReply {
  const { shard, from, to, term } = address;
  const done = readFlags(head, 1) === 1;
  const id = readEntryId(head);
  return { type: 'snapshotReply', shard, from, to, term, id, nextOffset: head.varint(), done };
}

function readRepairReply(address: Address, head: ByteReader, bulk: ByteReader): RepairReply {
  const { shard, from, to, term } = address;
  const flags = readFlags(head, 3);
  const [hasEntry, trimmed] = [(flags & 1) !== 0, (flags & 2) !== 0];
  const id = readEntryId(head);
  const reply = { type: 'repairReply', shard, from, to, term, id, trimmed } as const;
  check(!hasEntry || !trimmed, 'an entry that is gone');
  if (!hasEntry) return reply;
  const header = readHeader(head);
  const { index, term: entryTerm } = header;
  check(header.shard === shard, 'entry of another shard');
  check(index === id.index && entryTerm === id.term, 'another entry than the one asked for');
  return { ...reply, entry: readEntryBody(header, bulk) };
}

function unreachable(type: never): never {
  throw new TypeError(`message type ${String(type)} has no reader`);
}
