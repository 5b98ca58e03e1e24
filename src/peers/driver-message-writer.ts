/** The counterpart of driver-message-reader.ts. */
import assert from 'node:assert';
import { crc32 } from 'node:zlib';
import type {
  Invite,
  RepairReply,
  RepairRequest,
  SnapshotChunk,
  SnapshotReply,
  SnapshotRequest,
} from '../../raft/messages.ts';
import type { EntryId, Membership } from '../../raft/types.ts';
import { PORTABLE_HEADER_BYTES, writePortableHeader } from '../../storage/record.ts';
import { type FrameWriter, MAX_VARINT_BYTES } from './frame-writer.ts';
import { MAX_INCARNATION_BYTES, MAX_MEMBERS } from './message-format.ts';

type DriverMessage =
  | Invite
  | SnapshotChunk
  | SnapshotReply
  | SnapshotRequest
  | RepairRequest
  | RepairReply;

export function writeDriverMessage(writer: FrameWriter, message: DriverMessage): void {
  switch (message.type) {
    case 'invite':
      writer.u8(message.replaces ? 1 : 0);
      writeText(writer, message.incarnation);
      writeEntryId(writer, message.logStart);
      writeMembership(writer, message.membership);
      return;
    case 'snapshotChunk':
      writeEntryId(writer, message.id);
      writer.varint(message.totalBytes);
      writer.varint(message.offset);
      writer.varint(message.data.length);
      writer.u32(crc32(message.data));
      return;
    case 'snapshotReply':
      writer.u8(message.done ? 1 : 0);
      writeEntryId(writer, message.id);
      writer.varint(message.nextOffset);
      return;
    case 'snapshotRequest':
      writer.varint(message.through);
      return;
    case 'repairRequest':
      writeEntryId(writer, message.id);
      return;
    case 'repairReply':
      writeRepairReply(writer, message);
      return;
    default:
      unreachable(message);
  }
}

function writeRepairReply(writer: FrameWriter, reply: RepairReply): void {
  const { shard, id, entry, trimmed } = reply;
  writer.u8((entry === undefined ? 0 : 1) + (trimmed ? 2 : 0));
  writeEntryId(writer, id);
  if (entry === undefined) return;
  writePortableHeader(writer.scratch, writer.reserve(PORTABLE_HEADER_BYTES), shard, entry);
}

function writeEntryId(writer: FrameWriter, id: EntryId): void {
  writer.varint(id.index);
  writer.varint(id.term);
}

function writeText(writer: FrameWriter, text: string): void {
  const bytes = Buffer.byteLength(text);
  assert(bytes <= MAX_INCARNATION_BYTES, 'an incarnation is short');
  writer.text(text, bytes);
}

/** An upper bound of what `writeMembership` writes. */
export function membershipBytesMax({ config, replicas }: Membership): number {
  const { voters, votersOutgoing, learners, learnersNext } = config;
  const ids = voters.length + votersOutgoing.length + learners.length + learnersNext.length;
  const perReplica = 3 * MAX_VARINT_BYTES + MAX_INCARNATION_BYTES;
  return (ids + 6) * MAX_VARINT_BYTES + replicas.length * perReplica;
}

function writeIds(writer: FrameWriter, ids: readonly number[]): void {
  assert(ids.length <= MAX_MEMBERS, 'a membership is small');
  writer.varint(ids.length);
  for (const id of ids) writer.varint(id);
}

function writeMembership(writer: FrameWriter, { config, replicas }: Membership): void {
  writer.u8(config.autoLeave === true ? 1 : 0);
  writeIds(writer, config.voters);
  writeIds(writer, config.votersOutgoing);
  writeIds(writer, config.learners);
  writeIds(writer, config.learnersNext);
  writer.varint(replicas.length);
  for (const { replica, node, incarnation } of replicas) {
    writer.varint(replica);
    writer.varint(node);
    writeText(writer, incarnation);
  }
}

function unreachable(message: never): never {
  throw new TypeError(`unknown message ${JSON.stringify(message)}`);
}
