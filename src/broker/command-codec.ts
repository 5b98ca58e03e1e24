/**
 * Commands as the `head` of log entries. Grammar (uint and text as in bytes.ts, lists prefixed by
 * their length):
 *
 *   head           = kind:u8 version:u8 fields
 *   produce        = queueId count durability has:u8 (1: producerId producerEpoch sequence)
 *                    (2: deliverAtMs) (4: windowMs [key]*) (8: queueEpoch)
 *                    (16: [isTombstone:u8 key]*)
 *   deliver        = [term index]*                       recall = index
 *   copy           = owner:u8 term index fromTerm fromIndex
 *   copyRow        = queueId baseOffset count storedAtMs cumulativeBytes term index lowest until
 *   compactRows    = queueId baseOffset count storedAtMs cumulativeBytes [row]* [run]* left before
 *                    lowest until: compaction-codec.ts
 *   openQueue      = queueId topicId queue           version 2: and minLagMs tombstoneMs
 *   closeQueue     = queueId                             fenceQueue = queueId minQueueEpoch
 *   commitOffsets  = group topicId [queue offset]*       version 2: and memberId generation,
 *                    version 3: and principal
 *   resetOffsets   = group topicId [queue offset]*
 *   forgetTopic    = topicId                             raiseLevel = level
 *   trim           = logTrim [queueId startOffset startIndex]*
 *   those of half messages: transaction-codec.ts; of members of groups: group-commands.ts
 *
 * Those of per-message consumption are in delivery-codec.ts.
 *
 * Heads are replayed for as long as the log is kept: kinds are never renumbered, a changed layout
 * gets a new version. A head that this version cannot read stops the replica.
 */
import assert from 'node:assert';
import type { Entry, LogIndex } from '../../raft/types.ts';
import { ByteReader, ByteWriter, FormatError } from './bytes.ts';
import { readChoice, readCount, readEntryId, readList, writeIds } from './command-fields.ts';
import type {
  BatchId,
  BodyOwner,
  Command,
  Durability,
  ProducerSequence,
  QueueOffsetEntry,
} from './commands.ts';
import {
  COMPACTED_QUEUE_VERSION,
  decodeCompaction,
  decodeOpening,
  encodeCompaction,
  encodeOpening,
  openingVersion,
  readMessageKeys,
  writeMessageKeys,
} from './compaction-codec.ts';
import {
  DELIVERY_KIND,
  decodeDelivery,
  deliveryVersion,
  encodeDelivery,
  isDeliveryCommand,
  isDeliveryKind,
  newestDeliveryVersion,
} from './delivery-codec.ts';
import {
  decodeGroupCommand,
  encodeGroupCommand,
  GROUP_KIND,
  groupVersion,
  isGroupCommand,
  newestGroupVersion,
} from './group-commands.ts';
import {
  newestTransactionVersion,
  readTransactionCommand,
  TRANSACTION_KIND,
  transactionVersion,
  writeTransactionCommand,
} from './transaction-codec.ts';
import type { TransactionCommand } from './transaction-commands.ts';

type CommandOf<Type extends Command['type']> = Extract<Command, { type: Type }>;

const VERSION = 1;
/** Of a commit that a member makes ... */
const MEMBER_VERSION = 2;
/** ... of which it is known whose it must be. */
const PRINCIPAL_VERSION = 3;

/** On disk: never renumber, never reuse. */
const KIND = {
  produce: 1,
  openQueue: 2,
  closeQueue: 3,
  commitOffsets: 7,
  resetOffsets: 8,
  forgetTopic: 9,
  trim: 10,
  deliver: 11,
  recall: 12,
  copy: 50,
  fenceQueue: 51,
  copyRow: 52,
  compactRows: 53,
  raiseLevel: 60,
  ...TRANSACTION_KIND,
  ...GROUP_KIND,
  ...DELIVERY_KIND,
} as const satisfies Record<Command['type'], number>;

/** What a produce has besides. On disk: never renumber. */
const PRODUCER = 1;
const DELAY = 2;
const DEDUP = 4;
const QUEUE_EPOCH = 8;
const KEYS = 16;

/** On disk: never reorder. */
const BODY_OWNERS: readonly BodyOwner[] = ['delayed', 'delivery', 'half', 'part'];

export function encodeCommand(command: Command): Uint8Array {
  const out = new ByteWriter(64).u8(KIND[command.type]);
  if (isTransactionCommand(command)) {
    return writeTransactionCommand(command, out.u8(transactionVersion(command))).finish();
  }
  out.u8(versionOf(command));
  if (isGroupCommand(command)) return encodeGroupCommand(command, out);
  if (isDeliveryCommand(command)) return encodeDelivery(command, out);
  switch (command.type) {
    case 'produce':
      return encodeProduce(command, out);
    case 'deliver':
      return writeIds(command.batches, out).finish();
    case 'recall':
      return out.uint(command.index).finish();
    case 'copy':
      return encodeCopy(command, out);
    case 'copyRow':
      return encodeRowCopy(command, out);
    case 'compactRows':
      return encodeCompaction(command, out);
    case 'openQueue':
      return encodeOpening(command, out);
    case 'closeQueue':
      return out.uint(command.queueId).finish();
    case 'fenceQueue':
      return out.uint(command.queueId).uint(command.minQueueEpoch).finish();
    case 'commitOffsets':
    case 'resetOffsets':
      return encodeOffsets(command, out);
    case 'forgetTopic':
      return out.text(command.topicId).finish();
    case 'raiseLevel':
      return out.uint(command.level).finish();
    case 'trim':
      return encodeTrim(command, out);
    default:
      return assertNever(command);
  }
}

/** Throws `FormatError` on anything that `encodeCommand` would not have written. */
export function decodeCommand(head: Uint8Array): Command {
  const from = new ByteReader(head);
  const kind = from.u8();
  const version = from.u8();
  const isOfMember = kind === KIND.commitOffsets && version >= MEMBER_VERSION;
  if (version < VERSION || version > newestVersion(kind)) {
    throw new FormatError(`command ${kind} has version ${version}`);
  }
  const command = isOfMember
    ? decodeMemberCommit(version, from)
    : (readTransactionCommand(kind, version, from) ?? decodeFields(kind, version, from));
  from.expectEnd();
  return command;
}

function newestVersion(kind: number): number {
  if (kind === KIND.commitOffsets) return PRINCIPAL_VERSION;
  if (kind === KIND.openQueue) return COMPACTED_QUEUE_VERSION;
  const ofOthers = Math.max(newestTransactionVersion(kind), newestDeliveryVersion(kind));
  return Math.max(ofOthers, newestGroupVersion(kind));
}

/** The entry that first held the messages of this one: message ids name that. */
export function firstWriteOf({ index, head }: Pick<Entry, 'index' | 'head'>): LogIndex {
  return copiedId(head)?.index ?? index;
}

export function firstIdOf({ term, index, head }: Entry): BatchId {
  return copiedId(head) ?? { term, index };
}

/** undefined = the entry holds messages as a producer sent them. */
export function compactionOf({ head }: Pick<Entry, 'head'>): CommandOf<'compactRows'> | undefined {
  if (head[0] !== KIND.compactRows) return undefined;
  const command = decodeCommand(head);
  assert(command.type === 'compactRows');
  return command;
}

function copiedId(head: Uint8Array): BatchId | undefined {
  if (head[0] !== KIND.copy && head[0] !== KIND.copyRow) return undefined;
  const command = decodeCommand(head);
  assert(command.type === 'copy' || command.type === 'copyRow');
  return command.id;
}

function decodeFields(kind: number, version: number, from: ByteReader): Command {
  if (isDeliveryKind(kind)) return decodeDelivery(kind, version, from);
  switch (kind) {
    case KIND.produce:
      return decodeProduce(from);
    case KIND.deliver:
      return { type: 'deliver', batches: readList(from, readEntryId) };
    case KIND.recall:
      return { type: 'recall', index: from.uint() };
    case KIND.copy:
      return decodeCopy(from);
    case KIND.copyRow:
      return decodeRowCopy(from);
    case KIND.compactRows:
      return decodeCompaction(from);
    case KIND.openQueue:
      return decodeOpening(version, from);
    case KIND.closeQueue:
      return { type: 'closeQueue', queueId: from.uint() };
    case KIND.fenceQueue:
      return { type: 'fenceQueue', queueId: from.uint(), minQueueEpoch: from.uint() };
    case KIND.commitOffsets:
      return { type: 'commitOffsets', ...readOffsets(from) };
    case KIND.resetOffsets:
      return { type: 'resetOffsets', ...readOffsets(from) };
    case KIND.forgetTopic:
      return { type: 'forgetTopic', topicId: from.text() };
    case KIND.raiseLevel:
      return { type: 'raiseLevel', level: from.uint() };
    case KIND.trim:
      return decodeTrim(from);
    default:
      return decodeGroupCommand(kind, version, from) ?? unknownKind(kind);
  }
}

function encodeProduce(command: CommandOf<'produce'>, out: ByteWriter): Uint8Array {
  assert(command.count >= 1);
  out.uint(command.queueId).uint(command.count).u8(command.durability);
  const { producer, deliverAtMs, dedup, keys, queueEpoch } = command;
  out.u8(
    (producer === undefined ? 0 : PRODUCER) |
      (deliverAtMs === undefined ? 0 : DELAY) |
      (dedup === undefined ? 0 : DEDUP) |
      (queueEpoch === undefined ? 0 : QUEUE_EPOCH) |
      (keys === undefined ? 0 : KEYS),
  );
  if (producer !== undefined) {
    out.text(producer.producerId).uint(producer.producerEpoch).uint(producer.sequence);
  }
  if (deliverAtMs !== undefined) out.uint(deliverAtMs);
  if (dedup !== undefined) {
    out.uint(dedup.windowMs).uint(dedup.keys.length);
    for (const key of dedup.keys) out.text(key);
  }
  if (queueEpoch !== undefined) out.uint(queueEpoch);
  if (keys !== undefined) writeMessageKeys(keys, out);
  return out.finish();
}

function decodeProduce(from: ByteReader): Command {
  const queueId = from.uint();
  const count = readCount(from);
  const durability = readDurability(from);
  const has = readChoice(from, (PRODUCER | DELAY | DEDUP | QUEUE_EPOCH | KEYS) + 1);
  const producer = (has & PRODUCER) === 0 ? undefined : readProducer(from);
  const command = { type: 'produce', queueId, count, durability, producer } as const;
  if (has <= PRODUCER) return command;
  const delay = (has & DELAY) === 0 ? {} : { deliverAtMs: from.uint() };
  const dedup = (has & DEDUP) === 0 ? {} : { dedup: readKeys(from) };
  const epoch = (has & QUEUE_EPOCH) === 0 ? {} : { queueEpoch: from.uint() };
  const keys = (has & KEYS) === 0 ? {} : { keys: readMessageKeys(from) };
  return { ...command, ...delay, ...dedup, ...epoch, ...keys };
}

function readKeys(from: ByteReader) {
  return { windowMs: from.uint(), keys: readList(from, () => from.text()) };
}

function readProducer(from: ByteReader): ProducerSequence {
  return { producerId: from.text(), producerEpoch: from.uint(), sequence: from.uint() };
}

function encodeCopy({ owner, id, from }: CommandOf<'copy'>, out: ByteWriter): Uint8Array {
  out.u8(BODY_OWNERS.indexOf(owner)).uint(id.term).uint(id.index);
  return out.uint(from.term).uint(from.index).finish();
}

function decodeCopy(from: ByteReader): CommandOf<'copy'> {
  const owner = BODY_OWNERS[readChoice(from, BODY_OWNERS.length)]!;
  return { type: 'copy', owner, id: readEntryId(from), from: readEntryId(from) };
}

function encodeRowCopy(command: CommandOf<'copyRow'>, out: ByteWriter): Uint8Array {
  const { row, id, lowest, until } = command;
  out.uint(row.queueId).uint(row.baseOffset).uint(row.count);
  out.uint(row.storedAtMs).uint(row.cumulativeBytes).uint(id.term).uint(id.index);
  return out.uint(lowest).uint(until).finish();
}

function decodeRowCopy(from: ByteReader): CommandOf<'copyRow'> {
  const row = {
    queueId: from.uint(),
    baseOffset: from.uint(),
    count: readCount(from),
    storedAtMs: from.uint(),
    cumulativeBytes: from.uint(),
  };
  const id = readEntryId(from);
  return { type: 'copyRow', row, id, lowest: from.uint(), until: from.uint() };
}

function encodeOffsets(
  command: CommandOf<'commitOffsets'> | CommandOf<'resetOffsets'>,
  out: ByteWriter,
): Uint8Array {
  out.text(command.group).text(command.topicId).uint(command.offsets.length);
  for (const entry of command.offsets) out.uint(entry.queue).uint(entry.offset);
  if (command.type === 'commitOffsets' && command.member !== undefined) {
    const { generation, memberId, principal } = command.member;
    out.text(memberId).uint(generation);
    if (principal !== undefined) out.text(principal);
  }
  return out.finish();
}

function versionOf(command: Command): number {
  if (isDeliveryCommand(command)) return deliveryVersion(command);
  if (isGroupCommand(command)) return groupVersion(command);
  if (command.type === 'openQueue') return openingVersion(command);
  if (command.type !== 'commitOffsets' || command.member === undefined) return VERSION;
  return command.member.principal === undefined ? MEMBER_VERSION : PRINCIPAL_VERSION;
}

function decodeMemberCommit(version: number, from: ByteReader): Command {
  const offsets = readOffsets(from);
  const member = { memberId: from.text(), generation: from.uint() };
  const owned = version < PRINCIPAL_VERSION ? member : { ...member, principal: from.text() };
  return { type: 'commitOffsets', ...offsets, member: owned };
}

function readOffsets(from: ByteReader) {
  return { group: from.text(), topicId: from.text(), offsets: readList(from, readOffset) };
}

function readOffset(from: ByteReader): QueueOffsetEntry {
  return { queue: from.uint(), offset: from.uint() };
}

function encodeTrim(command: CommandOf<'trim'>, out: ByteWriter): Uint8Array {
  out.uint(command.logTrim).uint(command.queues.length);
  for (const queue of command.queues) {
    out.uint(queue.queueId).uint(queue.startOffset).uint(queue.startIndex);
  }
  return out.finish();
}

function decodeTrim(from: ByteReader): Command {
  const logTrim = from.uint();
  const queues = readList(from, () => ({
    queueId: from.uint(),
    startOffset: from.uint(),
    startIndex: from.uint(),
  }));
  return { type: 'trim', queues, logTrim };
}

function readDurability(from: ByteReader): Durability {
  const level = from.u8();
  if (level !== 1 && level !== 2 && level !== 3 && level !== 4) {
    throw new FormatError(`durability ${level} is not known here`);
  }
  return level;
}

function isTransactionCommand(command: Command): command is TransactionCommand {
  return Object.hasOwn(TRANSACTION_KIND, command.type);
}

function unknownKind(kind: number): never {
  throw new FormatError(`command kind ${kind} is not known here`);
}

function assertNever(command: never): never {
  throw new TypeError(`not a command: ${JSON.stringify(command)}`);
}
