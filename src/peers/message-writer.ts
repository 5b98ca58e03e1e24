import assert from 'node:assert';
import type { Append, PeerMessage, ShardMessage } from '../../raft/messages.ts';
import { PORTABLE_HEADER_BYTES, writePortableHeader } from '../../storage/record.ts';
import { membershipBytesMax, writeDriverMessage } from './driver-message-writer.ts';
import { FRAME_HEADER_BYTES, FrameType, MAX_HEAD_BYTES } from './frame.ts';
import type { FrameWriter } from './frame-writer.ts';
import { MAX_INCARNATION_BYTES, MAX_SHARD, MAX_TERM, MESSAGE_NUMBERS } from './message-format.ts';

/** No message is longer apart from what `variableBytesMax` counts. */
const MAX_FIXED_BYTES = 96;

/** What the head takes beside the fixed part. */
function variableBytesMax(message: PeerMessage): number {
  switch (message.type) {
    case 'append':
      return message.entries.length * PORTABLE_HEADER_BYTES;
    case 'repairReply':
      return message.entry === undefined ? 0 : PORTABLE_HEADER_BYTES;
    case 'invite':
      return membershipBytesMax(message.membership) + MAX_INCARNATION_BYTES;
    default:
      return 0;
  }
}

function headBytesMax(message: PeerMessage): number {
  return MAX_FIXED_BYTES + variableBytesMax(message);
}

function bodiesOf(message: PeerMessage): readonly Uint8Array[] {
  if (message.type === 'snapshotChunk') return [message.data];
  if (message.type === 'append') {
    return message.entries.flatMap(({ head, payload }) => [head, payload]);
  }
  if (message.type !== 'repairReply' || message.entry === undefined) return [];
  return [message.entry.head, message.entry.payload];
}

/** An upper bound of what the message takes in a frame. */
export function messageBytesMax(message: PeerMessage): number {
  let bytes = headBytesMax(message);
  for (const body of bodiesOf(message)) bytes += body.length;
  return bytes;
}

/**
 * Writes the messages as one or more frames of at most `maxFrameBytes`. Returns how many messages
 * were left out because they fit into no frame.
 */
export function writeMessages(
  writer: FrameWriter,
  messages: readonly PeerMessage[],
  maxFrameBytes: number,
): number {
  let group: PeerMessage[] = [];
  let groupHead = 0;
  let groupBytes = FRAME_HEADER_BYTES;
  let leftOut = 0;
  for (const message of messages) {
    const head = headBytesMax(message);
    const bytes = messageBytesMax(message);
    if (FRAME_HEADER_BYTES + bytes > maxFrameBytes || head > MAX_HEAD_BYTES) {
      leftOut += 1;
      continue;
    }
    if (groupBytes + bytes > maxFrameBytes || groupHead + head > MAX_HEAD_BYTES) {
      writeGroup(writer, group, groupHead);
      group = [];
      groupHead = 0;
      groupBytes = FRAME_HEADER_BYTES;
    }
    group.push(message);
    groupHead += head;
    groupBytes += bytes;
  }
  if (group.length > 0) writeGroup(writer, group, groupHead);
  return leftOut;
}

function writeGroup(writer: FrameWriter, group: readonly PeerMessage[], headMax: number): void {
  writer.begin(headMax);
  for (const message of group) writeMessage(writer, message);
  writer.endHead();
  for (const message of group) for (const body of bodiesOf(message)) writer.bulk(body);
  writer.end(FrameType.messages);
}

function writeMessage(writer: FrameWriter, message: PeerMessage): void {
  writer.u8(MESSAGE_NUMBERS[message.type]);
  if (message.type === 'alive') {
    writer.varint(message.wallMs);
    return;
  }
  assert(message.term <= MAX_TERM && message.shard <= MAX_SHARD, 'message out of range');
  writer.varint(message.shard);
  writer.varint(message.from);
  writer.varint(message.to);
  writer.varint(message.term);
  writeFields(writer, message);
}

function writeFields(writer: FrameWriter, message: ShardMessage): void {
  switch (message.type) {
    case 'preVote':
    case 'vote':
      writer.varint(message.lastIndex);
      writer.varint(message.lastTerm);
      writer.u8(message.transfer ? 1 : 0);
      return;
    case 'preVoteReply':
    case 'voteReply':
      writer.u8((message.granted ? 1 : 0) | (message.sticky ? 2 : 0));
      writer.varint(message.wallMs);
      return;
    case 'append':
      writeAppend(writer, message);
      return;
    case 'appendReply':
      writer.u8(message.success ? 1 : 0);
      writer.varint(message.matchIndex);
      writer.varint(message.conflictTerm);
      writer.varint(message.conflictIndex);
      writer.varint(message.lastIndex);
      return;
    case 'written':
      writer.varint(message.index);
      return;
    case 'heartbeat':
      writer.varint(message.commit);
      writer.varint(message.round);
      writer.varint(message.rank * 2 + (message.quiet ? 1 : 0));
      return;
    case 'heartbeatReply':
      writer.u8((message.quiet ? 1 : 0) + (message.suspect ? 2 : 0));
      writer.varint(message.round);
      writer.varint(message.wallMs);
      return;
    case 'timeoutNow':
      return;
    default:
      writeDriverMessage(writer, message);
  }
}

function writeAppend(writer: FrameWriter, append: Append): void {
  writer.u8(append.wantsWritten ? 1 : 0);
  writer.varint(append.prevIndex);
  writer.varint(append.prevTerm);
  writer.varint(append.commit);
  writer.varint(append.entries.length);
  let index = append.prevIndex;
  for (const entry of append.entries) {
    index += 1;
    assert(entry.index === index, 'entries of an append are not contiguous');
    writePortableHeader(writer.scratch, writer.reserve(PORTABLE_HEADER_BYTES), append.shard, entry);
  }
}
