/**
 * Half messages of one queue: prepared (replicated, in no queue), then committed (they get offsets
 * now, and stand in the queue from now on) or rolled back, once. An undecided one is never dropped
 * unasked; its producer group is asked about it when its check falls due, and once enough checks
 * reached a producer and brought no decision, it waits for an operator.
 */
import type { Entry } from '../../raft/types.ts';
import type { ApplyResult, Refusal } from './commands.ts';
import type { LateReferences } from './late-references.ts';
import type { QueueState, Queues } from './queues.ts';
import type { StateWriter } from './state-port.ts';
import {
  DEFAULT_MAX_CHECKS,
  type LeasedCheck,
  type TransactionCommand,
} from './transaction-commands.ts';
import type { Transaction } from './transaction-rows.ts';
import { isOpen, type Transactions } from './transactions.ts';

type CommandOf<Type extends TransactionCommand['type']> = Extract<
  TransactionCommand,
  { type: Type }
>;

const ROLLED_BACK = { state: 'rolledBack', baseOffset: 0 } as const;

export class HalfMessages {
  readonly #queues: Queues;
  readonly #transactions: Transactions;
  readonly #references: LateReferences;

  constructor(queues: Queues, transactions: Transactions, references: LateReferences) {
    this.#queues = queues;
    this.#transactions = transactions;
    this.#references = references;
  }

  prepare(command: CommandOf<'prepare'>, entry: Entry, out: StateWriter): ApplyResult {
    const { producerGroup, callerId, queueId, count } = command;
    const known = this.#transactions.byCaller(producerGroup, callerId);
    if (known !== undefined) {
      const isRepeat = known.queueId === queueId && known.count === count;
      return isRepeat ? prepared(known, true) : refused({ reason: 'TRANSACTION_ID_REUSED' });
    }
    if (this.#queues.get(queueId) === undefined) {
      return refused({ reason: 'QUEUE_NOT_OPEN', queueId });
    }
    const transaction = newTransaction(command, entry);
    this.#transactions.add(transaction, out);
    return prepared(transaction, false);
  }

  end(command: CommandOf<'end'>, entry: Entry, out: StateWriter): ApplyResult {
    const transaction = this.#transactions.find(command.producerGroup, command.transaction);
    if (transaction === undefined) return refused({ reason: 'TRANSACTION_NOT_FOUND' });
    if (command.by === undefined && transaction.producerGroup !== command.producerGroup) {
      return refused({ reason: 'TRANSACTION_FOREIGN' });
    }
    if (!isOpen(transaction)) return endAgain(transaction, command.decision);
    switch (command.decision) {
      case 'commit':
        this.#commit(transaction, entry, out);
        break;
      case 'rollback':
        this.#transactions.markEnded(transaction, ROLLED_BACK, entry, out);
        break;
      case 'unknown':
        this.#unknown(transaction, entry, out);
    }
    return ended(transaction);
  }

  /** Hands out the checks that are still worth asking; others were answered or leased meanwhile. */
  leaseChecks(command: CommandOf<'leaseChecks'>, entry: Entry, out: StateWriter): ApplyResult {
    const checks: LeasedCheck[] = [];
    for (const id of command.transactions) {
      const transaction = this.#transactions.byId(id);
      if (transaction?.state !== 'undecided' || isFull(transaction)) continue;
      if (transaction.producerGroup !== command.producerGroup) continue;
      if (transaction.dueAtMs > entry.timeMs) continue;
      const waitMs = Math.max(command.leaseMs, transaction.checkIntervalMs);
      const lease = entry.index;
      const what = command.countsLater === true ? { lease } : counted(transaction);
      this.#transactions.change(transaction, { ...what, dueAtMs: entry.timeMs + waitMs }, out);
      checks.push(leasedCheck(transaction, this.#queueOf(transaction)));
    }
    return { type: 'leased', checks };
  }

  /** A lease counts once, and only while it is the last one. */
  checksDelivered({ checks }: CommandOf<'checksDelivered'>, out: StateWriter): ApplyResult {
    let count = 0;
    for (const { id, lease } of checks) {
      const transaction = this.#transactions.byId(id);
      if (transaction?.state !== 'undecided' || transaction.lease !== lease) continue;
      this.#transactions.change(transaction, counted(transaction), out);
      count += 1;
    }
    return { type: 'counted', count };
  }

  /** Of those named: what was asked about often enough, and is due again. */
  park(command: CommandOf<'park'>, entry: Entry, out: StateWriter): ApplyResult {
    let count = 0;
    for (const id of command.transactions) {
      const transaction = this.#transactions.byId(id);
      if (transaction?.state !== 'undecided' || !isFull(transaction)) continue;
      if (transaction.dueAtMs > entry.timeMs) continue;
      this.#transactions.change(transaction, { state: 'parked', lease: 0 }, out);
      count += 1;
    }
    return { type: 'parked', count };
  }

  resume(command: CommandOf<'resume'>, entry: Entry, out: StateWriter): ApplyResult {
    const transaction = this.#transactions.byId(command.transaction);
    if (transaction === undefined) return refused({ reason: 'TRANSACTION_NOT_FOUND' });
    if (!isOpen(transaction)) return endAgain(transaction, undefined);
    const again = { state: 'undecided', checkCount: 0, lease: 0, dueAtMs: entry.timeMs } as const;
    this.#transactions.change(transaction, again, out);
    return { type: 'resumed' };
  }

  /** An answer to a check proves that it was delivered. A parked one stays parked. */
  #unknown(transaction: Transaction, entry: Entry, out: StateWriter): void {
    if (transaction.state !== 'undecided') return;
    const dueAtMs = entry.timeMs + transaction.checkIntervalMs;
    const count = transaction.lease === 0 ? {} : counted(transaction);
    this.#transactions.change(transaction, { ...count, dueAtMs }, out);
  }

  #commit(transaction: Transaction, entry: Entry, out: StateWriter): void {
    const { queueId, id, count, bytes } = transaction;
    const queue = this.#queueOf(transaction);
    const batch = { at: id, count, bytes, storedAtMs: entry.timeMs };
    const baseOffset = this.#queues.append(queue, batch, out);
    this.#references.add(queueId, baseOffset + count - 1, id.index, out);
    this.#transactions.markEnded(transaction, { state: 'committed', baseOffset }, entry, out);
  }

  /** Closing a queue drops its transactions, so those that are left have theirs open. */
  #queueOf(transaction: Transaction): QueueState {
    return this.#queues.get(transaction.queueId)!;
  }
}

function newTransaction(command: CommandOf<'prepare'>, entry: Entry): Transaction {
  const firstCheckAtMs = entry.timeMs + command.firstCheckAfterMs;
  return {
    id: { term: entry.term, index: entry.index },
    producerGroup: command.producerGroup,
    callerId: command.callerId,
    topic: command.topic,
    queueId: command.queueId,
    count: command.count,
    bytes: entry.payload.length,
    preparedAtMs: entry.timeMs,
    firstCheckAtMs,
    checkIntervalMs: command.checkIntervalMs,
    dueAtMs: firstCheckAtMs,
    checkCount: 0,
    maxChecks: command.maxChecks ?? DEFAULT_MAX_CHECKS,
    lease: 0,
    state: 'undecided',
    baseOffset: 0,
    endedIndex: 0,
    endedAtMs: 0,
    heapPosition: -1,
  };
}

/** What had its outcome before. undefined = nothing is wanted of it that it could still do. */
function endAgain(
  transaction: Transaction,
  decision: CommandOf<'end'>['decision'] | undefined,
): ApplyResult {
  const state = transaction.state === 'committed' ? 'committed' : 'rolledBack';
  const wanted = decision === 'commit' ? 'committed' : 'rolledBack';
  const isSame = decision !== undefined && (decision === 'unknown' || state === wanted);
  return isSame ? ended(transaction) : refused({ reason: 'TRANSACTION_ENDED', state });
}

function counted({ checkCount }: Transaction): Pick<Transaction, 'checkCount' | 'lease'> {
  return { checkCount: checkCount + 1, lease: 0 };
}

function isFull({ checkCount, maxChecks }: Transaction): boolean {
  return checkCount >= maxChecks;
}

function prepared(transaction: Transaction, duplicate: boolean): ApplyResult {
  const { id, count, firstCheckAtMs } = transaction;
  return { type: 'prepared', id, count, firstCheckAtMs, duplicate };
}

function ended(transaction: Transaction): ApplyResult {
  const { state, queueId, baseOffset, count } = transaction;
  return { type: 'ended', state, queueId, baseOffset, count };
}

function leasedCheck(transaction: Transaction, queue: QueueState): LeasedCheck {
  const { id, callerId, topic, queueId, count, preparedAtMs, lease } = transaction;
  const checkCount = transaction.checkCount + 1;
  const what = { id, callerId, topic, queueId, queue: queue.queue, count };
  return { ...what, checkCount, preparedAtMs, lease };
}

function refused(refusal: Refusal): ApplyResult {
  return { type: 'refused', refusal };
}
