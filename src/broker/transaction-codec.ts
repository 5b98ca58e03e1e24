/**
 * The commands of half messages as heads of entries (see command-codec.ts for the notation):
 *
 *   prepare          = producerGroup callerId topic queueId count firstCheckAfterMs
 *                      checkIntervalMs, version 2: maxChecks, version 3: queueEpoch,
 *                      version 4: principal (queueEpoch 0 = none)
 *   end              = producerGroup (0 term index | 1 callerId) decision, version 2: by,
 *                      version 3: (0 | 1 by) principal
 *   leaseChecks      = producerGroup leaseMs [term index]*, version 2: the same, counts later
 *   checksDelivered  = [term index lease]*
 *   park             = [term index]*                      resume = term index
 *   begin            = producerGroup callerId firstCheckAfterMs checkIntervalMs maxChecks
 *                      [shard topic queueId queue count]* (0 | 1 shard group),
 *                      version 2: [queueEpoch, 0 = none]*, version 3: principal
 *   preparePart      = shard term index part queueId count, version 2: queueEpoch
 *   prepareOffsets   = shard term index group generation memberId
 *                      [topicId [queue from+1 offset]*]*, version 2: principal
 *   prepared         = term index [term index]*
 *   resolve          = shard term index commits [term index]*
 *   resolved         = term index [shard]* [part baseOffset]*
 */
import assert from 'node:assert';
import type { ByteReader, ByteWriter } from './bytes.ts';
import { readChoice, readCount, readEntryId, readList, writeIds } from './command-fields.ts';
import type { TransactionId, TransactionRef } from './commands.ts';
import {
  DEFAULT_MAX_CHECKS,
  type GlobalTransactionId,
  type LeaseRef,
  type MovedOffset,
  type OffsetPlan,
  type PartPlan,
  type TopicOffsets,
  type TransactionCommand,
} from './transaction-commands.ts';

type CommandOf<Type extends TransactionCommand['type']> = Extract<
  TransactionCommand,
  { type: Type }
>;

type Mutable<Type> = { -readonly [Field in keyof Type]: Type[Field] };

type Participation = CommandOf<
  'begin' | 'preparePart' | 'prepareOffsets' | 'prepared' | 'resolve' | 'resolved'
>;

/** On disk: never renumber, never reuse. */
export const TRANSACTION_KIND = {
  prepare: 4,
  end: 5,
  leaseChecks: 6,
  checksDelivered: 19,
  park: 20,
  resume: 21,
  begin: 13,
  preparePart: 14,
  prepareOffsets: 15,
  prepared: 16,
  resolve: 17,
  resolved: 18,
} as const satisfies Record<TransactionCommand['type'], number>;

const DECISIONS = ['commit', 'rollback', 'unknown'] as const;
/** On disk: never reorder. */
const ENDERS = ['operator', 'refusal', 'timeout'] as const;

/** Which layout the command is written in: the oldest that can hold it. */
export function transactionVersion(command: TransactionCommand): number {
  switch (command.type) {
    case 'prepare':
      if (command.principal !== undefined) return 4;
      if (command.queueEpoch !== undefined) return 3;
      return command.maxChecks === undefined ? 1 : 2;
    case 'end':
      if (command.principal !== undefined) return 3;
      return command.by === undefined ? 1 : 2;
    case 'leaseChecks':
      return command.countsLater === undefined ? 1 : 2;
    case 'begin':
      if (command.principal !== undefined) return 3;
      return hasQueueEpochs(command.parts) ? 2 : 1;
    case 'preparePart':
      return command.queueEpoch === undefined ? 1 : 2;
    case 'prepareOffsets':
      return command.principal === undefined ? 1 : 2;
    default:
      return 1;
  }
}

const NEWEST: Partial<Record<number, number>> = {
  [TRANSACTION_KIND.prepare]: 4,
  [TRANSACTION_KIND.end]: 3,
  [TRANSACTION_KIND.leaseChecks]: 2,
  [TRANSACTION_KIND.begin]: 3,
  [TRANSACTION_KIND.preparePart]: 2,
  [TRANSACTION_KIND.prepareOffsets]: 2,
};

/** The newest layout of a kind that is read here. */
export function newestTransactionVersion(kind: number): number {
  return NEWEST[kind] ?? 1;
}

export function writeTransactionCommand(command: TransactionCommand, out: ByteWriter): ByteWriter {
  switch (command.type) {
    case 'prepare':
      return writePrepare(command, out);
    case 'end':
      return writeEnd(command, out);
    case 'leaseChecks':
      out.text(command.producerGroup).uint(command.leaseMs);
      return writeIds(command.transactions, out);
    case 'checksDelivered':
      return writeLeases(command.checks, out);
    case 'park':
      return writeIds(command.transactions, out);
    case 'resume':
      return writeId(command.transaction, out);
    default:
      return writeParticipation(command, out);
  }
}

/** What concerns several shards. */
function writeParticipation(command: Participation, out: ByteWriter): ByteWriter {
  switch (command.type) {
    case 'begin':
      return writeBegin(command, out);
    case 'preparePart':
      return writePreparePart(command, out);
    case 'prepareOffsets':
      return writePrepareOffsets(command, out);
    case 'prepared':
      return writeIds(command.parts, writeId(command.transaction, out));
    case 'resolve':
      writeGlobalId(command.transaction, out);
      return writeIds(command.parts, out.u8(command.commits ? 1 : 0));
    case 'resolved':
      return writeResolved(command, out);
  }
}

/** undefined = not of these kinds. */
export function readTransactionCommand(
  kind: number,
  version: number,
  from: ByteReader,
): TransactionCommand | undefined {
  switch (kind) {
    case TRANSACTION_KIND.prepare:
      return readPrepare(version, from);
    case TRANSACTION_KIND.end:
      return readEnd(version, from);
    case TRANSACTION_KIND.leaseChecks:
      return readLeaseChecks(version, from);
    case TRANSACTION_KIND.checksDelivered:
      return { type: 'checksDelivered', checks: readList(from, readLease) };
    case TRANSACTION_KIND.park:
      return { type: 'park', transactions: readList(from, readEntryId) };
    case TRANSACTION_KIND.resume:
      return { type: 'resume', transaction: readEntryId(from) };
    default:
      return readParticipation(kind, version, from);
  }
}

function readParticipation(
  kind: number,
  version: number,
  from: ByteReader,
): TransactionCommand | undefined {
  switch (kind) {
    case TRANSACTION_KIND.begin:
      return readBegin(version, from);
    case TRANSACTION_KIND.preparePart:
      return {
        ...{ type: 'preparePart', transaction: readGlobalId(from) },
        ...{ part: from.uint(), queueId: from.uint(), count: readCount(from) },
        ...(version === 1 ? {} : { queueEpoch: from.uint() }),
      };
    case TRANSACTION_KIND.prepareOffsets:
      return readPrepareOffsets(version, from);
    case TRANSACTION_KIND.prepared:
      return {
        ...{ type: 'prepared', transaction: readEntryId(from) },
        parts: readList(from, readEntryId),
      };
    case TRANSACTION_KIND.resolve:
      return {
        ...{ type: 'resolve', transaction: readGlobalId(from) },
        ...{ commits: readChoice(from, 2) === 1, parts: readList(from, readEntryId) },
      };
    case TRANSACTION_KIND.resolved:
      return {
        ...{ type: 'resolved', transaction: readEntryId(from) },
        shards: readList(from, () => from.uint()),
        shown: readList(from, () => ({ part: from.uint(), baseOffset: from.uint() })),
      };
    default:
      return undefined;
  }
}

function writePrepare(command: CommandOf<'prepare'>, out: ByteWriter): ByteWriter {
  assert(command.count >= 1);
  out.text(command.producerGroup).text(command.callerId).text(command.topic);
  out.uint(command.queueId).uint(command.count);
  out.uint(command.firstCheckAfterMs).uint(command.checkIntervalMs);
  const { maxChecks, principal, queueEpoch } = command;
  const version = transactionVersion(command);
  if (version > 1) out.uint(maxChecks ?? DEFAULT_MAX_CHECKS);
  if (version > 2) out.uint(queueEpoch ?? 0);
  return principal === undefined ? out : out.text(principal);
}

function readPrepare(version: number, from: ByteReader): TransactionCommand {
  const command: Mutable<CommandOf<'prepare'>> = {
    type: 'prepare',
    producerGroup: from.text(),
    callerId: from.text(),
    topic: from.text(),
    queueId: from.uint(),
    count: readCount(from),
    firstCheckAfterMs: from.uint(),
    checkIntervalMs: from.uint(),
  };
  if (version > 1) command.maxChecks = from.uint();
  const queueEpoch = version > 2 ? from.uint() : 0;
  if (queueEpoch > 0) command.queueEpoch = queueEpoch;
  if (version > 3) command.principal = from.text();
  return command;
}

function writeEnd(command: CommandOf<'end'>, out: ByteWriter): ByteWriter {
  const { by, principal, transaction } = command;
  out.text(command.producerGroup);
  if (transaction.by === 'id') {
    out.u8(0).uint(transaction.id.term).uint(transaction.id.index);
  } else {
    out.u8(1).text(transaction.callerId);
  }
  out.u8(DECISIONS.indexOf(command.decision));
  if (principal !== undefined) out.u8(by === undefined ? 0 : 1);
  if (by !== undefined) out.u8(ENDERS.indexOf(by));
  return principal === undefined ? out : out.text(principal);
}

function readEnd(version: number, from: ByteReader): TransactionCommand {
  const producerGroup = from.text();
  const transaction: TransactionRef =
    readChoice(from, 2) === 0
      ? { by: 'id', id: readEntryId(from) }
      : { by: 'caller', callerId: from.text() };
  const decision = DECISIONS[readChoice(from, DECISIONS.length)]!;
  const command = { type: 'end', producerGroup, transaction, decision } as const;
  const hasBy = version === 2 || (version > 2 && readChoice(from, 2) === 1);
  const by = hasBy ? { by: ENDERS[readChoice(from, ENDERS.length)]! } : {};
  return { ...command, ...by, ...(version > 2 ? { principal: from.text() } : {}) };
}

function readLeaseChecks(version: number, from: ByteReader): TransactionCommand {
  const producerGroup = from.text();
  const leaseMs = from.uint();
  const transactions = readList(from, readEntryId);
  const command = { type: 'leaseChecks', producerGroup, transactions, leaseMs } as const;
  return version === 1 ? command : { ...command, countsLater: true };
}

function writeLeases(checks: readonly LeaseRef[], out: ByteWriter): ByteWriter {
  out.uint(checks.length);
  for (const { id, lease } of checks) out.uint(id.term).uint(id.index).uint(lease);
  return out;
}

function readLease(from: ByteReader): LeaseRef {
  return { id: readEntryId(from), lease: from.uint() };
}

function writeId({ term, index }: TransactionId, out: ByteWriter): ByteWriter {
  return out.uint(term).uint(index);
}

export function writeGlobalId(id: GlobalTransactionId, out: ByteWriter): ByteWriter {
  return writeId(id, out.uint(id.shard));
}

export function readGlobalId(from: ByteReader): GlobalTransactionId {
  return { shard: from.uint(), term: from.uint(), index: from.uint() };
}

function writeBegin(command: CommandOf<'begin'>, out: ByteWriter): ByteWriter {
  out.text(command.producerGroup).text(command.callerId);
  out.uint(command.firstCheckAfterMs).uint(command.checkIntervalMs).uint(command.maxChecks);
  out.uint(command.parts.length);
  for (const part of command.parts) writePart(part, out);
  writeOffsetPlan(command.offsets, out);
  if (transactionVersion(command) > 1) writeQueueEpochs(command.parts, out);
  return command.principal === undefined ? out : out.text(command.principal);
}

function readBegin(version: number, from: ByteReader): TransactionCommand {
  const command = {
    type: 'begin',
    producerGroup: from.text(),
    callerId: from.text(),
    firstCheckAfterMs: from.uint(),
    checkIntervalMs: from.uint(),
    maxChecks: from.uint(),
    parts: readList(from, readPart),
    offsets: readOffsetPlan(from),
  } as const;
  if (version === 1) return command;
  const parts = readQueueEpochs(command.parts, from);
  return { ...command, parts, ...(version > 2 ? { principal: from.text() } : {}) };
}

/** Only topics that once refused writes have them. */
export function hasQueueEpochs(parts: readonly PartPlan[]): boolean {
  return parts.some(({ queueEpoch }) => queueEpoch !== undefined);
}

/** As many as there are parts. */
export function writeQueueEpochs(parts: readonly PartPlan[], out: ByteWriter): ByteWriter {
  for (const { queueEpoch = 0 } of parts) out.uint(queueEpoch);
  return out;
}

export function readQueueEpochs<Part extends PartPlan>(
  parts: readonly Part[],
  from: ByteReader,
): Part[] {
  return parts.map((part) => {
    const queueEpoch = from.uint();
    return queueEpoch === 0 ? part : { ...part, queueEpoch };
  });
}

function writePreparePart(command: CommandOf<'preparePart'>, out: ByteWriter): ByteWriter {
  writeGlobalId(command.transaction, out);
  out.uint(command.part).uint(command.queueId).uint(command.count);
  return command.queueEpoch === undefined ? out : out.uint(command.queueEpoch);
}

export function writePart(part: PartPlan, out: ByteWriter): ByteWriter {
  out.uint(part.shard).text(part.topic).uint(part.queueId);
  return out.uint(part.queue).uint(part.count);
}

export function readPart(from: ByteReader): PartPlan {
  return {
    shard: from.uint(),
    topic: from.text(),
    queueId: from.uint(),
    queue: from.uint(),
    count: readCount(from),
  };
}

export function writeOffsetPlan(plan: OffsetPlan | undefined, out: ByteWriter): ByteWriter {
  return plan === undefined ? out.u8(0) : out.u8(1).uint(plan.shard).text(plan.group);
}

export function readOffsetPlan(from: ByteReader): OffsetPlan | undefined {
  if (readChoice(from, 2) === 0) return undefined;
  return { shard: from.uint(), group: from.text() };
}

function writePrepareOffsets(command: CommandOf<'prepareOffsets'>, out: ByteWriter): ByteWriter {
  writeGlobalId(command.transaction, out);
  out.text(command.group).uint(command.generation).text(command.memberId);
  writeTopics(command.topics, out);
  return command.principal === undefined ? out : out.text(command.principal);
}

function readPrepareOffsets(version: number, from: ByteReader): TransactionCommand {
  const transaction = readGlobalId(from);
  const group = from.text();
  const generation = from.uint();
  const memberId = from.text();
  const topics = readTopics(from);
  const command = { type: 'prepareOffsets', transaction, group, generation, memberId } as const;
  return { ...command, topics, ...(version > 1 ? { principal: from.text() } : {}) };
}

export function writeTopics(topics: readonly TopicOffsets[], out: ByteWriter): ByteWriter {
  out.uint(topics.length);
  for (const { topicId, offsets } of topics) {
    out.text(topicId).uint(offsets.length);
    for (const { queue, from, offset } of offsets) {
      out
        .uint(queue)
        .uint(from === undefined ? 0 : from + 1)
        .uint(offset);
    }
  }
  return out;
}

export function readTopics(from: ByteReader): TopicOffsets[] {
  return readList(from, () => ({
    topicId: from.text(),
    offsets: readList(from, readMoved),
  }));
}

function readMoved(from: ByteReader): MovedOffset {
  const queue = from.uint();
  const before = from.uint();
  return { queue, from: before === 0 ? undefined : before - 1, offset: from.uint() };
}

function writeResolved(command: CommandOf<'resolved'>, out: ByteWriter): ByteWriter {
  writeId(command.transaction, out).uint(command.shards.length);
  for (const shard of command.shards) out.uint(shard);
  out.uint(command.shown.length);
  for (const { part, baseOffset } of command.shown) out.uint(part).uint(baseOffset);
  return out;
}
