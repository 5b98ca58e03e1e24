import type {
  Append,
  AppendReply,
  Heartbeat,
  HeartbeatReply,
  PeerMessage,
  VoteReply,
  VoteRequest,
  Written,
} from '../../raft/messages.ts';
import type { Entry } from '../../raft/types.ts';
import { PORTABLE_HEADER_BYTES } from '../../storage/record.ts';
import { ByteReader } from './byte-reader.ts';
import { readDriverMessage } from './driver-message-reader.ts';
import type { Frame } from './frame.ts';
import { FRAME_HEADER_BYTES } from './frame.ts';
import {
  type Address,
  check,
  positive,
  readEntryBody,
  readFlags,
  readHeader,
} from './message-fields.ts';
import { MAX_SHARD, MAX_TERM, MESSAGE_TYPES } from './message-format.ts';

/**
 * Reads a `messages` frame. Every body is checked against its CRC, once, and every number against
 * what Raft can mean by it; a `MalformedFrameError` says that no correct peer sent this.
 */
export function readMessages(frame: Frame): PeerMessage[] {
  const head = new ByteReader(frame.bytes, FRAME_HEADER_BYTES, frame.headEnd);
  const bulk = new ByteReader(frame.bytes, frame.headEnd, frame.bytes.length);
  const messages: PeerMessage[] = [];
  while (!head.atEnd()) messages.push(readMessage(head, bulk));
  bulk.expectEnd();
  return messages;
}

function readMessage(head: ByteReader, bulk: ByteReader): PeerMessage {
  const type = MESSAGE_TYPES.get(head.u8());
  if (type === 'alive') return { type, wallMs: head.varint() };
  const shard = head.varint();
  const from = head.varint();
  const to = head.varint();
  const term = head.varint();
  check(type !== undefined, 'unknown message type');
  check(shard <= MAX_SHARD && from > 0 && to > 0 && term <= MAX_TERM, 'address out of range');
  const address = { shard, from, to, term };
  switch (type) {
    case 'preVote':
    case 'vote':
      return readVote(type, address, head);
    case 'preVoteReply':
    case 'voteReply':
      return readVoteReply(type, address, head);
    case 'append':
      return readAppend(address, head, bulk);
    case 'appendReply':
      return readAppendReply(address, head);
    case 'written':
      return readWritten(address, head);
    case 'heartbeat':
      return readHeartbeat(address, head);
    case 'heartbeatReply':
      return readHeartbeatReply(address, head);
    case 'timeoutNow':
      return { type, shard, from, to, term: positive(term) };
    default:
      return readDriverMessage(type, address, head, bulk);
  }
}

function readVote(type: VoteRequest['type'], address: Address, head: ByteReader): VoteRequest {
  const { shard, from, to, term } = address;
  const lastIndex = head.varint();
  const lastTerm = head.varint();
  const transfer = readFlags(head, 1) === 1;
  check(lastTerm <= positive(term), 'candidate behind its own log');
  return { type, shard, from, to, term, lastIndex, lastTerm, transfer };
}

function readVoteReply(type: VoteReply['type'], address: Address, head: ByteReader): VoteReply {
  const { shard, from, to, term } = address;
  const flags = readFlags(head, 3);
  const [granted, sticky] = [(flags & 1) !== 0, (flags & 2) !== 0];
  return { type, shard, from, to, term, granted, sticky, wallMs: head.varint() };
}

function readAppendReply(address: Address, head: ByteReader): AppendReply {
  const { shard, from, to, term } = address;
  const success = readFlags(head, 1) === 1;
  const matchIndex = head.varint();
  const conflictTerm = head.varint();
  const conflictIndex = head.varint();
  const lastIndex = head.varint();
  check(conflictTerm <= MAX_TERM, 'term out of range');
  const type = 'appendReply';
  return {
    type,
    shard,
    from,
    to,
    term,
    success,
    matchIndex,
    conflictTerm,
    conflictIndex,
    lastIndex,
  };
}

function readWritten(address: Address, head: ByteReader): Written {
  const { shard, from, to, term } = address;
  return { type: 'written', shard, from, to, term: positive(term), index: head.varint() };
}

function readHeartbeat(address: Address, head: ByteReader): Heartbeat {
  const { shard, from, to, term } = address;
  const commit = head.varint();
  const round = head.varint();
  const rankAndQuiet = head.varint();
  const rank = Math.floor(rankAndQuiet / 2);
  const quiet = rankAndQuiet % 2 === 1;
  check(!quiet || commit > 0, 'quiet before any entry');
  const type = 'heartbeat';
  return { type, shard, from, to, term: positive(term), commit, round, rank, quiet };
}

function readHeartbeatReply(address: Address, head: ByteReader): HeartbeatReply {
  const { shard, from, to, term } = address;
  const flags = readFlags(head, 3);
  const [quiet, suspect] = [(flags & 1) !== 0, (flags & 2) !== 0];
  const [round, wallMs] = [head.varint(), head.varint()];
  return { type: 'heartbeatReply', shard, from, to, term, round, wallMs, suspect, quiet };
}

function readAppend(address: Address, head: ByteReader, bulk: ByteReader): Append {
  const { shard, from, to, term } = address;
  const wantsWritten = readFlags(head, 1) === 1;
  const prevIndex = head.varint();
  const prevTerm = head.varint();
  const commit = head.varint();
  const count = head.varint();
  check(prevTerm <= positive(term), 'append from a leader behind its own log');
  check((prevIndex === 0) === (prevTerm === 0), 'previous entry without index or term');
  // Compared before anything is allocated for them.
  check(count <= (head.end - head.at) / PORTABLE_HEADER_BYTES, 'more entries than headers');
  const entries: Entry[] = [];
  let entryTerm = prevTerm;
  for (let index = prevIndex + 1; index <= prevIndex + count; index += 1) {
    const header = readHeader(head);
    check(header.shard === shard && header.index === index, 'entry out of its place');
    check(header.term >= entryTerm && header.term <= term, 'terms of entries fall');
    entryTerm = header.term;
    entries.push(readEntryBody(header, bulk));
  }
  const type = 'append';
  return { type, shard, from, to, term, prevIndex, prevTerm, commit, wantsWritten, entries };
}
