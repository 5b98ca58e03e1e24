/** The shard's transactions with their indexes by id, by caller id and by what falls due. */
import { Fifo } from '../../raft/fifo.ts';
import type { Entry, LogIndex, ShardTimeMs } from '../../raft/types.ts';
import { BodyPlaces } from './body-places.ts';
import { Checks } from './checks.ts';
import type { QueueId, StoredAt, TransactionId, TransactionRef } from './commands.ts';
import { DueHeap } from './due-heap.ts';
import type { DataShardLimits } from './limits.ts';
import { MAX_FORGOTTEN_PER_ENTRY } from './limits.ts';
import type { StateWriter } from './state-port.ts';
import type { Transaction } from './transaction-rows.ts';
import { deleteTransaction, putTransaction } from './transaction-rows.ts';

type Outcome = Pick<Transaction, 'parts' | 'state' | 'unresolved'>;

export class Transactions {
  readonly checks = new Checks<Transaction>();
  /** Of those of one queue that have no outcome. */
  readonly places = new BodyPlaces<Transaction>('half');
  /** By the end of the time that their preparation may take. */
  readonly #preparing = new DueHeap<Transaction>();
  /** Without an outcome. By the index of their first entry, ascending. */
  readonly #open = new Map<LogIndex, Transaction>();
  /** With an outcome that not every participant has applied: kept until all have. */
  readonly #unresolved = new Map<LogIndex, Transaction>();
  /** Outcomes still remembered, by the index of their first entry. */
  readonly #ended = new Map<LogIndex, Transaction>();
  /**
   * The same, first ended first. A Map keeps that order too, but steps over each that left it
   * before it finds its first one: with 20,000 kept that is most of what a commit costs.
   */
  #endedOrder = new Fifo<Transaction>();
  readonly #byCaller = new Map<string, Transaction>();
  readonly #limits: DataShardLimits;
  readonly #openByPrincipal = new Map<string, number>();
  #parked = 0;

  constructor(limits: DataShardLimits) {
    this.#limits = limits;
  }

  /** Those that cannot be forgotten. */
  get count(): number {
    return this.#open.size + this.#unresolved.size;
  }

  get parkedCount(): number {
    return this.#parked;
  }

  /** Without an outcome. */
  openOf(principal: string): number {
    return this.#openByPrincipal.get(principal) ?? 0;
  }

  *open(afterIndex: LogIndex): Generator<Transaction> {
    for (const transaction of this.#open.values()) {
      if (transaction.id.index > afterIndex) yield transaction;
    }
  }

  /** Of those of one queue: how many have no outcome. */
  openIn(queueId: QueueId): number {
    let count = 0;
    for (const { half } of this.#open.values()) if (half?.queueId === queueId) count += 1;
    return count;
  }

  unresolved(): Iterable<Transaction> {
    return this.#unresolved.values();
  }

  firstToAbort(): Transaction | undefined {
    return this.#preparing.first();
  }

  byId({ term, index }: TransactionId): Transaction | undefined {
    const ended = this.#unresolved.get(index) ?? this.#ended.get(index);
    const found = this.#open.get(index) ?? ended;
    return found?.id.term === term ? found : undefined;
  }

  byCaller(producerGroup: string, callerId: string): Transaction | undefined {
    return this.#byCaller.get(callerText(producerGroup, callerId));
  }

  find(producerGroup: string, ref: TransactionRef): Transaction | undefined {
    return ref.by === 'id' ? this.byId(ref.id) : this.byCaller(producerGroup, ref.callerId);
  }

  add(transaction: Transaction, out: StateWriter): void {
    this.#index(transaction);
    if (transaction.half !== undefined) this.places.add(transaction);
    putTransaction(transaction, out);
  }

  /** What changes its state, its count or its next due time, but gives it no outcome. */
  change(transaction: Transaction, what: Partial<Transaction>, out: StateWriter): void {
    this.#unschedule(transaction);
    Object.assign(transaction, what);
    this.#schedule(transaction);
    putTransaction(transaction, out);
  }

  markEnded(
    transaction: Transaction,
    outcome: Outcome,
    entry: Pick<Entry, 'index' | 'timeMs'>,
    out: StateWriter,
  ): void {
    this.#close(transaction);
    Object.assign(transaction, outcome, { lease: 0 });
    this.#keepEnded(transaction, entry, out);
  }

  /** Participants have applied the outcome. */
  resolve(
    transaction: Transaction,
    what: Pick<Transaction, 'parts' | 'unresolved'>,
    entry: Pick<Entry, 'index' | 'timeMs'>,
    out: StateWriter,
  ): void {
    this.#unresolved.delete(transaction.id.index);
    Object.assign(transaction, what);
    this.#keepEnded(transaction, entry, out);
  }

  /** Those of one queue. The others lose a part of theirs elsewhere, and go on. */
  dropQueue(queueId: QueueId, out: StateWriter): void {
    for (const transaction of [...this.#open.values(), ...this.#ended.values()]) {
      if (transaction.half?.queueId !== queueId) continue;
      if (isOpen(transaction)) this.#close(transaction);
      this.#ended.delete(transaction.id.index);
      this.#drop(transaction, out);
    }
    this.#endedOrder = new Fifo();
    for (const transaction of this.#ended.values()) this.#endedOrder.push(transaction);
  }

  /** The bytes of one of one queue lie in `entry`, too: from now on only there. */
  move(id: TransactionId, from: StoredAt, entry: Entry, out: StateWriter): boolean {
    const moved = this.places.move(id, from, entry);
    if (moved !== undefined) putTransaction(moved, out);
    return moved !== undefined;
  }

  load(found: readonly Transaction[]): void {
    for (const transaction of found.filter(isOpen).sort((a, b) => a.id.index - b.id.index)) {
      this.#index(transaction);
    }
    const halves = [...this.#open.values()].filter(({ half }) => half !== undefined);
    this.places.load(halves);
    const ended = found.filter((transaction) => !isOpen(transaction));
    for (const transaction of ended.sort((a, b) => a.endedIndex - b.endedIndex)) {
      this.#remember(transaction);
      this.#indexCaller(transaction);
    }
  }

  #keepEnded(
    transaction: Transaction,
    { index, timeMs }: Pick<Entry, 'index' | 'timeMs'>,
    out: StateWriter,
  ): void {
    Object.assign(transaction, { endedIndex: index, endedAtMs: timeMs });
    this.#remember(transaction);
    putTransaction(transaction, out);
    this.#forgetEnded(timeMs, out);
  }

  #remember(transaction: Transaction): void {
    if (transaction.unresolved.length > 0) {
      this.#unresolved.set(transaction.id.index, transaction);
      return;
    }
    this.#ended.set(transaction.id.index, transaction);
    this.#endedOrder.push(transaction);
  }

  #index(transaction: Transaction): void {
    this.#open.set(transaction.id.index, transaction);
    this.#countOpen(transaction, 1);
    this.#schedule(transaction);
    this.#indexCaller(transaction);
  }

  #close(transaction: Transaction): void {
    this.#open.delete(transaction.id.index);
    this.#countOpen(transaction, -1);
    this.#unschedule(transaction);
    if (transaction.half !== undefined) this.places.remove(transaction);
  }

  #countOpen({ principal }: Transaction, step: 1 | -1): void {
    const count = this.openOf(principal) + step;
    if (count === 0) this.#openByPrincipal.delete(principal);
    else this.#openByPrincipal.set(principal, count);
  }

  #schedule(transaction: Transaction): void {
    if (transaction.state === 'undecided') this.checks.add(transaction);
    else if (transaction.state === 'preparing') this.#preparing.add(transaction);
    else if (transaction.state === 'parked') this.#parked += 1;
  }

  #unschedule(transaction: Transaction): void {
    if (transaction.state === 'undecided') this.checks.remove(transaction);
    else if (transaction.state === 'preparing') this.#preparing.remove(transaction);
    else if (transaction.state === 'parked') this.#parked -= 1;
  }

  #indexCaller(transaction: Transaction): void {
    const { producerGroup, callerId } = transaction;
    if (callerId !== '') this.#byCaller.set(callerText(producerGroup, callerId), transaction);
  }

  #forgetEnded(nowMs: ShardTimeMs, out: StateWriter): void {
    for (let left = MAX_FORGOTTEN_PER_ENTRY; left > 0; left -= 1) {
      const transaction = this.#endedOrder.peek();
      if (transaction === undefined) return;
      const isOld = transaction.endedAtMs + this.#limits.endedTransactionKeepMs <= nowMs;
      const isFull = this.#ended.size > this.#limits.maxEndedTransactions;
      if (!isOld && !isFull) return;
      this.#endedOrder.shift();
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

export function isOpen({ state }: Pick<Transaction, 'state'>): boolean {
  return state === 'preparing' || state === 'undecided' || state === 'parked';
}

/** The length in front keeps two pairs from reading alike. */
function callerText(producerGroup: string, callerId: string): string {
  return `${producerGroup.length}:${producerGroup}${callerId}`;
}
