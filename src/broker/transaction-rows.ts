/** A transaction in memory and as a row of the table 'transaction' (key: index of its prepare). */
import type { LogIndex, ShardTimeMs } from '../../raft/types.ts';
import type { TransactionView } from './api.ts';
import { ByteReader, ByteWriter, FormatError } from './bytes.ts';
import type { TransactionId, TransactionState } from './commands.ts';
import type { Due } from './due-heap.ts';
import type { StateRow, StateWriter } from './state-port.ts';
import { DEFAULT_MAX_CHECKS } from './transaction-commands.ts';

export interface Transaction extends TransactionView, Due {
  readonly id: TransactionId;
  /** Bytes of its messages: they count in the queue only once they are visible. */
  readonly bytes: number;
  readonly firstCheckAtMs: ShardTimeMs;
  readonly checkIntervalMs: number;
  state: TransactionState;
  checkCount: number;
  /** The entry that leased its last check, as long as that one was not counted; 0 = none. */
  lease: LogIndex;
  dueAtMs: ShardTimeMs;
  /** First offset in the queue; meant only when committed. */
  baseOffset: number;
  /** The entry that decided; 0 = none yet. */
  endedIndex: LogIndex;
  endedAtMs: ShardTimeMs;
}

/** 2: lease and maxChecks at the end. */
const VERSION = 2;
/** On disk: never reorder. */
const STATES = ['undecided', 'committed', 'rolledBack', 'parked'] as const;

export function putTransaction(transaction: Transaction, out: StateWriter): void {
  const row = new ByteWriter(128).u8(VERSION).u8(STATES.indexOf(transaction.state));
  row.uint(transaction.id.term).text(transaction.producerGroup).text(transaction.callerId);
  row.text(transaction.topic).uint(transaction.queueId).uint(transaction.count);
  row.uint(transaction.bytes).uint(transaction.preparedAtMs).uint(transaction.firstCheckAtMs);
  row.uint(transaction.checkIntervalMs).uint(transaction.dueAtMs);
  row.uint(transaction.checkCount).uint(transaction.baseOffset);
  row.uint(transaction.endedIndex).uint(transaction.endedAtMs);
  row.uint(transaction.lease).uint(transaction.maxChecks);
  out.put('transaction', transactionKey(transaction), row.finish());
}

export function deleteTransaction(transaction: Transaction, out: StateWriter): void {
  out.put('transaction', transactionKey(transaction), undefined);
}

export function readTransaction({ key, value }: StateRow): Transaction {
  const index = new ByteReader(key).u64be();
  const from = new ByteReader(value);
  const version = from.u8();
  if (version < 1 || version > VERSION)
    throw new FormatError(`version ${version} of a transaction`);
  const state = STATES[from.u8()];
  if (state === undefined) throw new FormatError('transaction state is not known here');
  const transaction: Transaction = {
    state,
    id: { term: from.uint(), index },
    producerGroup: from.text(),
    callerId: from.text(),
    topic: from.text(),
    queueId: from.uint(),
    count: from.uint(),
    bytes: from.uint(),
    preparedAtMs: from.uint(),
    firstCheckAtMs: from.uint(),
    checkIntervalMs: from.uint(),
    dueAtMs: from.uint(),
    checkCount: from.uint(),
    baseOffset: from.uint(),
    endedIndex: from.uint(),
    endedAtMs: from.uint(),
    lease: version === 1 ? 0 : from.uint(),
    maxChecks: version === 1 ? DEFAULT_MAX_CHECKS : from.uint(),
    heapPosition: -1,
  };
  from.expectEnd();
  return transaction;
}

function transactionKey(transaction: Transaction): Uint8Array {
  return new ByteWriter(8).u64be(transaction.id.index).finish();
}
