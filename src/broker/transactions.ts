/** The shard's transactions with their indexes by id, by caller id and by due check. */
import type { Entry, LogIndex, ShardTimeMs } from '../../raft/types.ts';
import { Checks } from './checks.ts';
import type { QueueId, TransactionId, TransactionRef } from './commands.ts';
import type { DataShardLimits } from './limits.ts';
import { MAX_FORGOTTEN_PER_ENTRY } from './limits.ts';
import type { StateRow, StateWriter } from './state-port.ts';
import type { Transaction } from './transaction-rows.ts';
import { deleteTransaction, putTransaction, readTransaction } from './transaction-rows.ts';

export class Transactions {
  readonly checks = new Checks<Transaction>();
  /** Parked ones too. By the index of their prepare entry, ascending. */
  readonly #undecided = new Map<LogIndex, Transaction>();
  /** Outcomes still remembered, by the index of their prepare entry, first ended first. */
  readonly #ended = new Map<LogIndex, Transaction>();
  readonly #byCaller = new Map<string, Transaction>();
  readonly #limits: DataShardLimits;
  #parked = 0;

  constructor(limits: DataShardLimits) {
    this.#limits = limits;
  }

  /** Parked ones too. */
  get undecidedCount(): number {
    return this.#undecided.size;
  }

  get parkedCount(): number {
    return this.#parked;
  }

  *open(afterIndex: LogIndex): Generator<Transaction> {
    for (const transaction of this.#undecided.values()) {
      if (transaction.id.index > afterIndex) yield transaction;
    }
  }

  byId(id: TransactionId): Transaction | undefined {
    const found = this.#undecided.get(id.index) ?? this.#ended.get(id.index);
    return found?.id.term === id.term ? found : undefined;
  }

  byCaller(producerGroup: string, callerId: string): Transaction | undefined {
    return this.#byCaller.get(callerText(producerGroup, callerId));
  }

  find(producerGroup: string, ref: TransactionRef): Transaction | undefined {
    return ref.by === 'id' ? this.byId(ref.id) : this.byCaller(producerGroup, ref.callerId);
  }

  add(transaction: Transaction, out: StateWriter): void {
    this.#index(transaction);
    putTransaction(transaction, out);
  }

  /** What changes its count or its next check. */
  change(
    transaction: Transaction,
    what: Partial<Pick<Transaction, 'checkCount' | 'dueAtMs' | 'lease' | 'state'>>,
    out: StateWriter,
  ): void {
    this.#unschedule(transaction);
    Object.assign(transaction, what);
    this.#schedule(transaction);
    putTransaction(transaction, out);
  }

  /** `outcome` carries the base offset of what is committed. */
  markEnded(
    transaction: Transaction,
    outcome: { readonly state: 'committed' | 'rolledBack'; readonly baseOffset: number },
    { index, timeMs }: Pick<Entry, 'index' | 'timeMs'>,
    out: StateWriter,
  ): void {
    this.#undecided.delete(transaction.id.index);
    this.#unschedule(transaction);
    Object.assign(transaction, outcome, { endedIndex: index, endedAtMs: timeMs, lease: 0 });
    this.#ended.set(transaction.id.index, transaction);
    putTransaction(transaction, out);
    this.#forgetEnded(timeMs, out);
  }

  dropQueue(queueId: QueueId, out: StateWriter): void {
    for (const transactions of [this.#undecided, this.#ended]) {
      for (const transaction of transactions.values()) {
        if (transaction.queueId !== queueId) continue;
        this.#unschedule(transaction);
        transactions.delete(transaction.id.index);
        this.#drop(transaction, out);
      }
    }
  }

  /** Lowest log index of an undecided transaction. */
  lowestIndex(): LogIndex | undefined {
    for (const index of this.#undecided.keys()) return index;
    return undefined;
  }

  load(rows: readonly StateRow[]): void {
    const found = rows.map(readTransaction);
    const undecided = found.filter(isOpen);
    for (const transaction of undecided.sort((a, b) => a.id.index - b.id.index)) {
      this.#index(transaction);
    }
    const ended = found.filter((transaction) => !isOpen(transaction));
    for (const transaction of ended.sort((a, b) => a.endedIndex - b.endedIndex)) {
      this.#ended.set(transaction.id.index, transaction);
      this.#indexCaller(transaction);
    }
  }

  #index(transaction: Transaction): void {
    this.#undecided.set(transaction.id.index, transaction);
    this.#schedule(transaction);
    this.#indexCaller(transaction);
  }

  #schedule(transaction: Transaction): void {
    if (transaction.state === 'undecided') this.checks.add(transaction);
    else if (transaction.state === 'parked') this.#parked += 1;
  }

  #unschedule(transaction: Transaction): void {
    if (transaction.state === 'undecided') this.checks.remove(transaction);
    else if (transaction.state === 'parked') this.#parked -= 1;
  }

  #indexCaller(transaction: Transaction): void {
    const { producerGroup, callerId } = transaction;
    if (callerId !== '') this.#byCaller.set(callerText(producerGroup, callerId), transaction);
  }

  #forgetEnded(nowMs: ShardTimeMs, out: StateWriter): void {
    let left = MAX_FORGOTTEN_PER_ENTRY;
    for (const transaction of this.#ended.values()) {
      const isOld = transaction.endedAtMs + this.#limits.endedTransactionKeepMs <= nowMs;
      const isFull = this.#ended.size > this.#limits.maxEndedTransactions;
      if (left === 0 || !(isOld || isFull)) return;
      left -= 1;
      this.#ended.delete(transaction.id.index);
      this.#drop(transaction, out);
    }
  }

  #drop(transaction: Transaction, out: StateWriter): void {
    const { producerGroup, callerId } = transaction;
    if (callerId !== '') this.#byCaller.delete(callerText(producerGroup, callerId));
    deleteTransaction(transaction, out);
  }
}

export function isOpen({ state }: Transaction): boolean {
  return state === 'undecided' || state === 'parked';
}

/** The length in front keeps two pairs from reading alike. */
function callerText(producerGroup: string, callerId: string): string {
  return `${producerGroup.length}:${producerGroup}${callerId}`;
}
