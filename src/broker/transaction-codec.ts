/**
 * The commands of half messages as heads of entries (see command-codec.ts for the notation):
 *
 *   prepare          = producerGroup callerId topic queueId count firstCheckAfterMs
 *                      checkIntervalMs, version 2: maxChecks
 *   end              = producerGroup (0 term index | 1 callerId) decision, version 2: by
 *   leaseChecks      = producerGroup leaseMs [term index]*, version 2: the same, counts later
 *   checksDelivered  = [term index lease]*
 *   park             = [term index]*                      resume = term index
 */
import assert from 'node:assert';
import type { ByteReader, ByteWriter } from './bytes.ts';
import { readChoice, readCount, readEntryId, readList, writeIds } from './command-fields.ts';
import type { TransactionRef } from './commands.ts';
import type { LeaseRef, TransactionCommand } from './transaction-commands.ts';

type CommandOf<Type extends TransactionCommand['type']> = Extract<
  TransactionCommand,
  { type: Type }
>;

/** On disk: never renumber, never reuse. */
export const TRANSACTION_KIND = {
  prepare: 4,
  end: 5,
  leaseChecks: 6,
  checksDelivered: 19,
  park: 20,
  resume: 21,
} as const satisfies Record<TransactionCommand['type'], number>;

const DECISIONS = ['commit', 'rollback', 'unknown'] as const;
/** On disk: never reorder. */
const ENDERS = ['operator'] as const;

/** Which layout the command is written in: the oldest that can hold it. */
export function transactionVersion(command: TransactionCommand): number {
  if (command.type === 'prepare') return command.maxChecks === undefined ? 1 : 2;
  if (command.type === 'end') return command.by === undefined ? 1 : 2;
  if (command.type === 'leaseChecks') return command.countsLater === undefined ? 1 : 2;
  return 1;
}

/** The newest layout of a kind that is read here. */
export function newestTransactionVersion(kind: number): number {
  const { end, leaseChecks, prepare } = TRANSACTION_KIND;
  return kind === prepare || kind === end || kind === leaseChecks ? 2 : 1;
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
      return out.uint(command.transaction.term).uint(command.transaction.index);
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
      return undefined;
  }
}

function writePrepare(command: CommandOf<'prepare'>, out: ByteWriter): ByteWriter {
  assert(command.count >= 1);
  out.text(command.producerGroup).text(command.callerId).text(command.topic);
  out.uint(command.queueId).uint(command.count);
  out.uint(command.firstCheckAfterMs).uint(command.checkIntervalMs);
  return command.maxChecks === undefined ? out : out.uint(command.maxChecks);
}

function readPrepare(version: number, from: ByteReader): TransactionCommand {
  const command = {
    type: 'prepare',
    producerGroup: from.text(),
    callerId: from.text(),
    topic: from.text(),
    queueId: from.uint(),
    count: readCount(from),
    firstCheckAfterMs: from.uint(),
    checkIntervalMs: from.uint(),
  } as const;
  return version === 1 ? command : { ...command, maxChecks: from.uint() };
}

function writeEnd(command: CommandOf<'end'>, out: ByteWriter): ByteWriter {
  const { transaction, by } = command;
  out.text(command.producerGroup);
  if (transaction.by === 'id') {
    out.u8(0).uint(transaction.id.term).uint(transaction.id.index);
  } else {
    out.u8(1).text(transaction.callerId);
  }
  out.u8(DECISIONS.indexOf(command.decision));
  return by === undefined ? out : out.u8(ENDERS.indexOf(by));
}

function readEnd(version: number, from: ByteReader): TransactionCommand {
  const producerGroup = from.text();
  const transaction: TransactionRef =
    readChoice(from, 2) === 0
      ? { by: 'id', id: readEntryId(from) }
      : { by: 'caller', callerId: from.text() };
  const decision = DECISIONS[readChoice(from, DECISIONS.length)]!;
  const command = { type: 'end', producerGroup, transaction, decision } as const;
  return version === 1 ? command : { ...command, by: ENDERS[readChoice(from, ENDERS.length)]! };
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
