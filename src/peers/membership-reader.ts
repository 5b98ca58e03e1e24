import type { Configuration, Membership, ReplicaAddress } from '../../raft/types.ts';
import type { ByteReader } from './byte-reader.ts';
import { MalformedFrameError } from './malformed.ts';
import { check } from './message-fields.ts';
import { MAX_INCARNATION_BYTES, MAX_MEMBERS } from './message-format.ts';

function readCount(head: ByteReader): number {
  const count = head.varint();
  if (count > MAX_MEMBERS) throw new MalformedFrameError(`${count} members`);
  return count;
}

function readId(head: ByteReader): number {
  const id = head.varint();
  check(id > 0, 'replica or node 0');
  return id;
}

function readIds(head: ByteReader): number[] {
  return Array.from({ length: readCount(head) }, () => readId(head));
}

function readConfiguration(head: ByteReader): Configuration {
  const flags = head.u8();
  check(flags <= 1, 'unknown flags');
  const voters = readIds(head);
  const votersOutgoing = readIds(head);
  const learners = readIds(head);
  const learnersNext = readIds(head);
  const config = { voters, votersOutgoing, learners, learnersNext };
  return flags === 1 ? { ...config, autoLeave: true } : config;
}

function readAddress(head: ByteReader): ReplicaAddress {
  const replica = readId(head);
  const node = readId(head);
  return { replica, node, incarnation: head.text(MAX_INCARNATION_BYTES) };
}

export function readMembership(head: ByteReader): Membership {
  const config = readConfiguration(head);
  const replicas = Array.from({ length: readCount(head) }, () => readAddress(head));
  return { config, replicas };
}
