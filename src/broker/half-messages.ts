/**
 * Half messages of one queue: prepared (replicated, in no queue), then committed (they get offsets
 * now, and stand in the queue from now on) or rolled back, once. An undecided one is never dropped
 * unasked; its producer group is asked about it when its check falls due.
 */
import type { Entry } from '../../raft/types.ts';
import type { ApplyResult, Command, LeasedCheck, Refusal } from './commands.ts';
import type { LateReferences } from './late-references.ts';
import type { QueueState, Queues } from './queues.ts';
import type { StateWriter } from './state-port.ts';
import type { Transaction } from './transaction-rows.ts';
import type { Transactions } from './transactions.ts';

type CommandOf<Type extends Command['type']> = Extract<Command, { type: Type }>;

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
    if (transaction.producerGroup !== command.producerGroup) {
      return refused({ reason: 'TRANSACTION_FOREIGN' });
    }
    if (transaction.state !== 'undecided') return endAgain(transaction, command.decision);
    switch (command.decision) {
      case 'commit':
        this.#commit(transaction, entry, out);
        break;
      case 'rollback':
        transaction.state = 'rolledBack';
        this.#transactions.markEnded(transaction, entry.index, entry.timeMs, out);
        break;
      case 'unknown': {
        const nextCheckAtMs = entry.timeMs + transaction.checkIntervalMs;
        this.#transactions.reschedule(transaction, nextCheckAtMs, out);
      }
    }
    return ended(transaction);
  }

  /** Counts the checks that are still worth asking; others were answered or leased meanwhile. */
  leaseChecks(command: CommandOf<'leaseChecks'>, entry: Entry, out: StateWriter): ApplyResult {
    const checks: LeasedCheck[] = [];
    for (const id of command.transactions) {
      const transaction = this.#transactions.byId(id);
      if (transaction?.state !== 'undecided') continue;
      if (transaction.producerGroup !== command.producerGroup) continue;
      if (transaction.dueAtMs > entry.timeMs) continue;
      transaction.checkCount += 1;
      const waitMs = Math.max(command.leaseMs, transaction.checkIntervalMs);
      this.#transactions.reschedule(transaction, entry.timeMs + waitMs, out);
      checks.push(leasedCheck(transaction, this.#queueOf(transaction)));
    }
    return { type: 'leased', checks };
  }

  #commit(transaction: Transaction, entry: Entry, out: StateWriter): void {
    const { queueId, id, count, bytes } = transaction;
    const queue = this.#queueOf(transaction);
    const batch = { at: id, count, bytes, storedAtMs: entry.timeMs };
    transaction.state = 'committed';
    transaction.baseOffset = this.#queues.append(queue, batch, out);
    this.#references.add(queueId, transaction.baseOffset + count - 1, id.index, out);
    this.#transactions.markEnded(transaction, entry.index, entry.timeMs, out);
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
    state: 'undecided',
    baseOffset: 0,
    endedIndex: 0,
    endedAtMs: 0,
    heapPosition: -1,
  };
}

function endAgain(transaction: Transaction, decision: CommandOf<'end'>['decision']): ApplyResult {
  const { state } = transaction;
  const wanted = decision === 'commit' ? 'committed' : 'rolledBack';
  if (state === 'undecided' || decision === 'unknown' || state === wanted) {
    return ended(transaction);
  }
  return refused({ reason: 'TRANSACTION_ENDED', state });
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
  const { id, callerId, topic, queueId, count, checkCount, preparedAtMs } = transaction;
  return { id, callerId, topic, queueId, queue: queue.queue, count, checkCount, preparedAtMs };
}

function refused(refusal: Refusal): ApplyResult {
  return { type: 'refused', refusal };
}
