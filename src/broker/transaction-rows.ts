/** A transaction in memory, and as a row of 'transaction' (key: index of its first entry). */
import type { LogIndex, ShardId, ShardTimeMs } from '../../raft/types.ts';
import type { TransactionView } from './api.ts';
import { ByteReader, ByteWriter, FormatError } from './bytes.ts';
import { readChoice, readEntryId, readList } from './command-fields.ts';
import type { QueueId, TransactionId, TransactionState } from './commands.ts';
import type { Due } from './due-heap.ts';
import type { StateRow, StateWriter } from './state-port.ts';
import { readOffsetPlan, readPart, writeOffsetPlan, writePart } from './transaction-codec.ts';
import { DEFAULT_MAX_CHECKS, type StoredOffsets, type StoredPart } from './transaction-commands.ts';

export interface Transaction extends TransactionView, Due {
  readonly id: TransactionId;
  readonly firstCheckAfterMs: number;
  readonly checkIntervalMs: number;
  /** Its one queue, here, and the bytes in its own entry; undefined = it has participants. */
  readonly half: { readonly queueId: QueueId; readonly bytes: number } | undefined;
  offsets: StoredOffsets | undefined;
  parts: readonly StoredPart[];
  preparedAtMs: ShardTimeMs;
  firstCheckAtMs: ShardTimeMs;
  state: TransactionState;
  checkCount: number;
  /** The entry that leased its last check, as long as that one was not counted; 0 = none. */
  lease: LogIndex;
  dueAtMs: ShardTimeMs;
  /** Participants that have not applied the outcome so far. */
  unresolved: readonly ShardId[];
  /** The entry that decided; 0 = none yet. */
  endedIndex: LogIndex;
  endedAtMs: ShardTimeMs;
}

/** 1: one queue, no parking. */
const VERSION = 2;
/** On disk: never reorder. */
const STATES = ['undecided', 'committed', 'rolledBack', 'parked', 'preparing'] as const;

export function putTransaction(transaction: Transaction, out: StateWriter): void {
  const row = new ByteWriter(160).u8(VERSION).u8(STATES.indexOf(transaction.state));
  row.uint(transaction.id.term).text(transaction.producerGroup).text(transaction.callerId);
  row.uint(transaction.preparedAtMs).uint(transaction.firstCheckAtMs);
  row.uint(transaction.firstCheckAfterMs).uint(transaction.checkIntervalMs);
  row.uint(transaction.dueAtMs).uint(transaction.checkCount).uint(transaction.maxChecks);
  row.uint(transaction.lease).uint(transaction.endedIndex).uint(transaction.endedAtMs);
  const { half } = transaction;
  if (half === undefined) row.u8(0);
  else row.u8(1).uint(half.queueId).uint(half.bytes);
  row.uint(transaction.parts.length);
  for (const part of transaction.parts) putPart(part, row);
  writeOffsetPlan(transaction.offsets, row);
  if (transaction.offsets !== undefined) {
    row.uint(transaction.offsets.at.term).uint(transaction.offsets.at.index);
  }
  row.uint(transaction.unresolved.length);
  for (const shard of transaction.unresolved) row.uint(shard);
  out.put('transaction', transactionKey(transaction), row.finish());
}

function putPart(part: StoredPart, row: ByteWriter): void {
  writePart(part, row).uint(part.at.term).uint(part.at.index);
  if (part.baseOffset === undefined) row.u8(0);
  else row.u8(1).uint(part.baseOffset);
}

function readStoredPart(from: ByteReader): StoredPart {
  const part = readPart(from);
  const at = readEntryId(from);
  return { ...part, at, baseOffset: readChoice(from, 2) === 0 ? undefined : from.uint() };
}

function readStoredOffsets(from: ByteReader): StoredOffsets | undefined {
  const plan = readOffsetPlan(from);
  return plan === undefined ? undefined : { ...plan, at: readEntryId(from) };
}

export function deleteTransaction(transaction: Transaction, out: StateWriter): void {
  out.put('transaction', transactionKey(transaction), undefined);
}

/** `shard` and the numbers of its queues: what rows of version 1 leave out. */
export function readTransaction(
  { key, value }: StateRow,
  shard: ShardId,
  queueNumber: (queueId: QueueId) => number,
): Transaction {
  const index = new ByteReader(key).u64be();
  const from = new ByteReader(value);
  const version = from.u8();
  if (version < 1 || version > VERSION) throw new FormatError(`version ${version} is not known`);
  const state = STATES[from.u8()];
  if (state === undefined) throw new FormatError('transaction state is not known here');
  const transaction =
    version === 1
      ? readFirst(state, index, from, shard, queueNumber)
      : readSecond(state, index, from);
  from.expectEnd();
  return transaction;
}

function readSecond(state: TransactionState, index: LogIndex, from: ByteReader): Transaction {
  return {
    state,
    id: { term: from.uint(), index },
    producerGroup: from.text(),
    callerId: from.text(),
    preparedAtMs: from.uint(),
    firstCheckAtMs: from.uint(),
    firstCheckAfterMs: from.uint(),
    checkIntervalMs: from.uint(),
    dueAtMs: from.uint(),
    checkCount: from.uint(),
    maxChecks: from.uint(),
    lease: from.uint(),
    endedIndex: from.uint(),
    endedAtMs: from.uint(),
    half: readChoice(from, 2) === 0 ? undefined : { queueId: from.uint(), bytes: from.uint() },
    parts: readList(from, readStoredPart),
    offsets: readStoredOffsets(from),
    unresolved: readList(from, () => from.uint()),
    heapPosition: -1,
  };
}

function readFirst(
  state: TransactionState,
  index: LogIndex,
  from: ByteReader,
  shard: ShardId,
  queueNumber: (queueId: QueueId) => number,
): Transaction {
  const id = { term: from.uint(), index };
  const [producerGroup, callerId, topic] = [from.text(), from.text(), from.text()];
  const [queueId, count, bytes] = [from.uint(), from.uint(), from.uint()];
  const [preparedAtMs, firstCheckAtMs, checkIntervalMs] = [from.uint(), from.uint(), from.uint()];
  const [dueAtMs, checkCount, baseOffset] = [from.uint(), from.uint(), from.uint()];
  const part = { shard, topic, queueId, queue: queueNumber(queueId), count, at: id };
  return {
    ...{ state, id, producerGroup, callerId, preparedAtMs, firstCheckAtMs, checkIntervalMs },
    ...{ dueAtMs, checkCount, maxChecks: DEFAULT_MAX_CHECKS, lease: 0, unresolved: [] },
    firstCheckAfterMs: firstCheckAtMs - preparedAtMs,
    half: { queueId, bytes },
    parts: [{ ...part, baseOffset: state === 'committed' ? baseOffset : undefined }],
    ...{ offsets: undefined, endedIndex: from.uint(), endedAtMs: from.uint(), heapPosition: -1 },
  };
}

function transactionKey(transaction: Transaction): Uint8Array {
  return new ByteWriter(8).u64be(transaction.id.index).finish();
}
