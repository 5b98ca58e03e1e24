/** The shard's transactions with their indexes by id, by caller id and by due check. */
import type { LogIndex, ShardTimeMs } from '../../raft/types.ts';
import { Checks } from './checks.ts';
import type { QueueId, TransactionId, TransactionRef } from './commands.ts';
import type { DataShardLimits } from './limits.ts';
import { MAX_FORGOTTEN_PER_ENTRY } from './limits.ts';
import type { StateRow, StateWriter } from './state-port.ts';
import type { Transaction } from './transaction-rows.ts';
import { deleteTransaction, putTransaction, readTransaction } from './transaction-rows.ts';

export class Transactions {
  readonly checks = new Checks<Transaction>();
  /** By the index of their prepare entry, ascending. */
  readonly #undecided = new Map<LogIndex, Transaction>();
  /** Outcomes still remembered, by the index of their prepare entry, first ended first. */
  readonly #ended = new Map<LogIndex, Transaction>();
  readonly #byCaller = new Map<string, Transaction>();
  readonly #limits: DataShardLimits;

  constructor(limits: DataShardLimits) {
    this.#limits = limits;
  }

  get undecidedCount(): number {
    return this.#undecided.size;
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

  reschedule(transaction: Transaction, nextCheckAtMs: ShardTimeMs, out: StateWriter): void {
    this.checks.reschedule(transaction, nextCheckAtMs);
    putTransaction(transaction, out);
  }

  /** The caller has set state and base offset. */
  markEnded(
    transaction: Transaction,
    endedIndex: LogIndex,
    nowMs: ShardTimeMs,
    out: StateWriter,
  ): void {
    this.#undecided.delete(transaction.id.index);
    this.checks.remove(transaction);
    transaction.endedIndex = endedIndex;
    transaction.endedAtMs = nowMs;
    this.#ended.set(transaction.id.index, transaction);
    putTransaction(transaction, out);
    this.#forgetEnded(nowMs, out);
  }

  dropQueue(queueId: QueueId, out: StateWriter): void {
    for (const transactions of [this.#undecided, this.#ended]) {
      for (const transaction of transactions.values()) {
        if (transaction.queueId !== queueId) continue;
        if (transaction.state === 'undecided') this.checks.remove(transaction);
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
    const undecided = found.filter(({ state }) => state === 'undecided');
    for (const transaction of undecided.sort((a, b) => a.id.index - b.id.index)) {
      this.#index(transaction);
    }
    const ended = found.filter(({ state }) => state !== 'undecided');
    for (const transaction of ended.sort((a, b) => a.endedIndex - b.endedIndex)) {
      this.#ended.set(transaction.id.index, transaction);
      this.#indexCaller(transaction);
    }
  }

  #index(transaction: Transaction): void {
    this.#undecided.set(transaction.id.index, transaction);
    this.checks.add(transaction);
    this.#indexCaller(transaction);
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

/** The length in front keeps two pairs from reading alike. */
function callerText(producerGroup: string, callerId: string): string {
  return `${producerGroup.length}:${producerGroup}${callerId}`;
}
