/** A transaction in memory and as a row of the table 'transaction' (key: index of its prepare). */
import type { LogIndex, ShardTimeMs } from '../../raft/types.ts';
import type { TransactionView } from './api.ts';
import { ByteReader, ByteWriter, FormatError, readVersioned } from './bytes.ts';
import type { TransactionId } from './commands.ts';
import type { Due } from './due-heap.ts';
import type { StateRow, StateWriter } from './state-port.ts';

export interface Transaction extends TransactionView, Due {
  readonly id: TransactionId;
  /** Bytes of its messages: they count in the queue only once they are visible. */
  readonly bytes: number;
  readonly preparedAtMs: ShardTimeMs;
  readonly firstCheckAtMs: ShardTimeMs;
  readonly checkIntervalMs: number;
  state: 'undecided' | 'committed' | 'rolledBack';
  checkCount: number;
  dueAtMs: ShardTimeMs;
  /** First offset in the queue; meant only when committed. */
  baseOffset: number;
  /** The entry that decided; 0 = none yet. */
  endedIndex: LogIndex;
  endedAtMs: ShardTimeMs;
}

const VERSION = 1;
/** On disk: never reorder. */
const STATES = ['undecided', 'committed', 'rolledBack'] as const;

export function putTransaction(transaction: Transaction, out: StateWriter): void {
  const row = new ByteWriter(128).u8(VERSION).u8(STATES.indexOf(transaction.state));
  row.uint(transaction.id.term).text(transaction.producerGroup).text(transaction.callerId);
  row.text(transaction.topic).uint(transaction.queueId).uint(transaction.count);
  row.uint(transaction.bytes).uint(transaction.preparedAtMs).uint(transaction.firstCheckAtMs);
  row.uint(transaction.checkIntervalMs).uint(transaction.dueAtMs);
  row.uint(transaction.checkCount).uint(transaction.baseOffset);
  row.uint(transaction.endedIndex).uint(transaction.endedAtMs);
  out.put('transaction', transactionKey(transaction), row.finish());
}

export function deleteTransaction(transaction: Transaction, out: StateWriter): void {
  out.put('transaction', transactionKey(transaction), undefined);
}

export function readTransaction({ key, value }: StateRow): Transaction {
  const index = new ByteReader(key).u64be();
  const from = readVersioned(value, VERSION);
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
    heapPosition: -1,
  };
  from.expectEnd();
  return transaction;
}

function transactionKey(transaction: Transaction): Uint8Array {
  return new ByteWriter(8).u64be(transaction.id.index).finish();
}
