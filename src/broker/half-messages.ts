/**
 * Half messages: those of one queue are prepared (replicated, in no queue), then committed (they
 * get offsets now, and stand in the queue from now on) or rolled back, once. An undecided one is
 * never dropped unasked; its producer group is asked about it when its check falls due, and once
 * enough checks reached a producer and brought no decision, it waits for an operator.
 */
import type { Entry, ShardId } from '../../raft/types.ts';
import { type ApplyResult, refused } from './commands.ts';
import type { LateReferences } from './late-references.ts';
import { isForeign } from './owner.ts';
import { type QueueState, type Queues, writeRefusal } from './queues.ts';
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

export class HalfMessages {
  readonly #shard: ShardId;
  readonly #queues: Queues;
  readonly #transactions: Transactions;
  readonly #references: LateReferences;

  constructor(
    shard: ShardId,
    queues: Queues,
    transactions: Transactions,
    references: LateReferences,
  ) {
    this.#shard = shard;
    this.#queues = queues;
    this.#transactions = transactions;
    this.#references = references;
  }

  prepare(command: CommandOf<'prepare'>, entry: Entry, out: StateWriter): ApplyResult {
    const { producerGroup, callerId, queueId, count } = command;
    const known = this.#transactions.byCaller(producerGroup, callerId);
    if (known !== undefined) {
      if (isForeign(known.principal, command.principal ?? '')) {
        return refused({ reason: 'TRANSACTION_ID_REUSED' });
      }
      const isRepeat = known.half?.queueId === queueId && known.parts[0]!.count === count;
      return isRepeat ? prepared(known, true) : refused({ reason: 'TRANSACTION_ID_REUSED' });
    }
    const queue = this.#queues.get(queueId);
    if (queue === undefined) return refused({ reason: 'QUEUE_NOT_OPEN', queueId });
    const refusal = writeRefusal(queue, { ...command, isHidden: true });
    if (refusal !== undefined) return refused(refusal);
    const transaction = this.#newTransaction(command, queue, entry);
    this.#transactions.add(transaction, out);
    return prepared(transaction, false);
  }

  end(command: CommandOf<'end'>, entry: Entry, out: StateWriter): ApplyResult {
    const transaction = this.#transactions.find(command.producerGroup, command.transaction);
    if (transaction === undefined) return refused({ reason: 'TRANSACTION_NOT_FOUND' });
    if (command.by === undefined && !mayDecide(transaction, command)) {
      return refused({ reason: 'TRANSACTION_FOREIGN' });
    }
    if (!isOpen(transaction)) return endAgain(transaction, command.decision);
    if (command.by === 'refusal' || command.by === 'timeout') {
      return this.#abort(transaction, command.by, entry, out);
    }
    switch (command.decision) {
      case 'commit':
        if (transaction.state === 'preparing') return refused({ reason: 'TRANSACTION_PREPARING' });
        this.#commit(transaction, entry, out);
        break;
      case 'rollback':
        this.#rollBack(transaction, entry, out);
        break;
      case 'unknown':
        if (transaction.state === 'preparing') return refused({ reason: 'TRANSACTION_PREPARING' });
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
      checks.push(leasedCheck(transaction));
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
    if (transaction.state === 'preparing') return refused({ reason: 'TRANSACTION_PREPARING' });
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

  /** Its preparation failed, or was not ended in time. What is prepared is not concerned. */
  #abort(
    transaction: Transaction,
    by: 'refusal' | 'timeout',
    entry: Entry,
    out: StateWriter,
  ): ApplyResult {
    const isDue = by === 'refusal' || transaction.dueAtMs <= entry.timeMs;
    if (transaction.state === 'preparing' && isDue) {
      this.#rollBack(transaction, entry, out);
    }
    return ended(transaction);
  }

  #rollBack(transaction: Transaction, entry: Entry, out: StateWriter): void {
    const { parts } = transaction;
    const unresolved = participants(transaction);
    this.#transactions.markEnded(
      transaction,
      { state: 'rolledBack', parts, unresolved },
      entry,
      out,
    );
  }

  /** That of one queue is shown at once; of others the outcome is told to every participant. */
  #commit(transaction: Transaction, entry: Entry, out: StateWriter): void {
    const { at, half } = transaction;
    let { parts } = transaction;
    if (half !== undefined) {
      const { count } = parts[0]!;
      const batch = { at, count, bytes: half.bytes, storedAtMs: entry.timeMs };
      // Closing a queue drops its transactions, so those that are left have theirs open.
      const baseOffset = this.#queues.append(this.#queues.get(half.queueId)!, batch, out);
      this.#references.add(half.queueId, baseOffset + count - 1, at.index, out);
      parts = [{ ...parts[0]!, baseOffset }];
    }
    const unresolved = participants(transaction);
    this.#transactions.markEnded(
      transaction,
      { state: 'committed', parts, unresolved },
      entry,
      out,
    );
  }

  #newTransaction(
    command: CommandOf<'prepare'>,
    { queueId, queue }: QueueState,
    entry: Entry,
  ): Transaction {
    const { topic, count, firstCheckAfterMs } = command;
    const at = { term: entry.term, index: entry.index };
    const firstCheckAtMs = entry.timeMs + firstCheckAfterMs;
    return newlyBegun(command, entry, {
      half: { queueId, bytes: entry.payload.length },
      parts: [{ shard: this.#shard, topic, queueId, queue, count, at, baseOffset: undefined }],
      offsets: undefined,
      firstCheckAtMs,
      dueAtMs: firstCheckAtMs,
      state: 'undecided',
    });
  }
}

type Own = Pick<Transaction, 'half' | 'parts' | 'offsets' | 'firstCheckAtMs' | 'dueAtMs' | 'state'>;

/** Field by field: put together from copies of parts, it was a quarter of a Prepare's apply. */
export function newlyBegun(
  command: CommandOf<'prepare' | 'begin'>,
  entry: Entry,
  { half, parts, offsets, firstCheckAtMs, dueAtMs, state }: Own,
): Transaction {
  const id = { term: entry.term, index: entry.index };
  return {
    state,
    id,
    producerGroup: command.producerGroup,
    principal: command.principal ?? '',
    callerId: command.callerId,
    preparedAtMs: entry.timeMs,
    firstCheckAtMs,
    firstCheckAfterMs: command.firstCheckAfterMs,
    checkIntervalMs: command.checkIntervalMs,
    dueAtMs,
    checkCount: 0,
    maxChecks: command.maxChecks ?? DEFAULT_MAX_CHECKS,
    lease: 0,
    endedIndex: 0,
    endedAtMs: 0,
    half,
    at: id,
    parts,
    offsets,
    unresolved: [],
    heapPosition: -1,
  };
}

/** The shards that must learn the outcome; of one queue it is the entry that decides. */
function participants({ half, parts, offsets }: Transaction): ShardId[] {
  if (half !== undefined) return [];
  const shards = new Set(parts.map(({ shard }) => shard));
  if (offsets !== undefined) shards.add(offsets.shard);
  return [...shards];
}

/** Its producer group, and in it who prepared it. */
function mayDecide(transaction: Transaction, command: CommandOf<'end'>): boolean {
  if (transaction.producerGroup !== command.producerGroup) return false;
  return !isForeign(transaction.principal, command.principal ?? '');
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

export function prepared(transaction: Transaction, duplicate: boolean): ApplyResult {
  const { id, state, parts, firstCheckAtMs } = transaction;
  return { type: 'prepared', id, state, parts, firstCheckAtMs, duplicate };
}

function ended({ id, state, parts, unresolved }: Transaction): ApplyResult {
  return { type: 'ended', id, state, parts, unresolved };
}

function leasedCheck(transaction: Transaction): LeasedCheck {
  const { id, callerId, parts, preparedAtMs, lease } = transaction;
  return { id, callerId, parts, checkCount: transaction.checkCount + 1, preparedAtMs, lease };
}
