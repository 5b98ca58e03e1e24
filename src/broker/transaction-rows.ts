/** A transaction in memory, and as a row of 'transaction' (key: index of its first entry). */
import type { LogIndex, ShardId, ShardTimeMs } from '../../raft/types.ts';
import type { TransactionView } from './api.ts';
import { ByteReader, ByteWriter, FormatError, readVersioned } from './bytes.ts';
import { readChoice, readEntryId, readList } from './command-fields.ts';
import type { QueueId, StoredAt, TransactionId, TransactionState } from './commands.ts';
import type { Due } from './due-heap.ts';
import type { StateRow, StateWriter } from './state-port.ts';
import {
  hasQueueEpochs,
  readOffsetPlan,
  readPart,
  readQueueEpochs,
  writeOffsetPlan,
  writePart,
  writeQueueEpochs,
} from './transaction-codec.ts';
import type { StoredOffsets, StoredPart } from './transaction-commands.ts';

export interface Transaction extends TransactionView, Due {
  readonly id: TransactionId;
  readonly firstCheckAfterMs: number;
  readonly checkIntervalMs: number;
  /** Its one queue, here, and its bytes there; undefined = it has participants. */
  readonly half: { readonly queueId: QueueId; readonly bytes: number } | undefined;
  /** Where the bytes of `half` lie now; without `half` as `id`. */
  at: StoredAt;
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

const VERSION = 3;
/** With the queue epochs of its parts at the end. */
const EPOCHS_VERSION = 4;
/** With the queue epochs, and then who prepared it. */
const PRINCIPAL_VERSION = 5;
/** On disk: never reorder. */
const STATES = ['undecided', 'committed', 'rolledBack', 'parked', 'preparing'] as const;

export function putTransaction(transaction: Transaction, out: StateWriter): void {
  const version = versionOf(transaction);
  const row = new ByteWriter(160).u8(version);
  row.u8(STATES.indexOf(transaction.state));
  row.uint(transaction.id.term).text(transaction.producerGroup).text(transaction.callerId);
  row.uint(transaction.preparedAtMs).uint(transaction.firstCheckAtMs);
  row.uint(transaction.firstCheckAfterMs).uint(transaction.checkIntervalMs);
  row.uint(transaction.dueAtMs).uint(transaction.checkCount).uint(transaction.maxChecks);
  row.uint(transaction.lease).uint(transaction.endedIndex).uint(transaction.endedAtMs);
  const { half } = transaction;
  if (half === undefined) row.u8(0);
  else row.u8(1).uint(half.queueId).uint(half.bytes);
  row.uint(transaction.at.term).uint(transaction.at.index);
  row.uint(transaction.parts.length);
  for (const part of transaction.parts) putPart(part, row);
  writeOffsetPlan(transaction.offsets, row);
  if (transaction.offsets !== undefined) {
    row.uint(transaction.offsets.at.term).uint(transaction.offsets.at.index);
  }
  row.uint(transaction.unresolved.length);
  for (const shard of transaction.unresolved) row.uint(shard);
  if (version >= EPOCHS_VERSION) writeQueueEpochs(transaction.parts, row);
  if (version >= PRINCIPAL_VERSION) row.text(transaction.principal);
  out.put('transaction', transactionKey(transaction), row.finish());
}

/** The oldest that can hold it. */
function versionOf({ parts, principal }: Transaction): number {
  if (principal !== '') return PRINCIPAL_VERSION;
  return hasQueueEpochs(parts) ? EPOCHS_VERSION : VERSION;
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

export function readTransaction({ key, value }: StateRow): Transaction {
  const index = new ByteReader(key).u64be();
  const version = Math.min(Math.max(value[0] ?? 0, VERSION), PRINCIPAL_VERSION);
  const from = readVersioned(value, version);
  const state = STATES[from.u8()];
  if (state === undefined) throw new FormatError('transaction state is not known here');
  const transaction = readFields(state, index, from);
  if (version >= EPOCHS_VERSION) transaction.parts = readQueueEpochs(transaction.parts, from);
  const principal = version >= PRINCIPAL_VERSION ? from.text() : '';
  from.expectEnd();
  return principal === '' ? transaction : { ...transaction, principal };
}

function readFields(state: TransactionState, index: LogIndex, from: ByteReader): Transaction {
  return {
    state,
    id: { term: from.uint(), index },
    producerGroup: from.text(),
    principal: '',
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
    at: readEntryId(from),
    parts: readList(from, readStoredPart),
    offsets: readStoredOffsets(from),
    unresolved: readList(from, () => from.uint()),
    heapPosition: -1,
  };
}

function transactionKey(transaction: Transaction): Uint8Array {
  return new ByteWriter(8).u64be(transaction.id.index).finish();
}
