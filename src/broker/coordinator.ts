/**
 * Transactions over several queues and shards, or with offsets of a group (internals rule 9): the
 * shard of the first part coordinates. It lists who takes part before anything is stored (`begin`),
 * waits until all is stored (`prepared`), has the one entry with the outcome (`end`), and remembers
 * it until every participant has applied it (`resolved`).
 */
import assert from 'node:assert';
import type { Entry } from '../../raft/types.ts';
import { type ApplyResult, refused, type StoredAt } from './commands.ts';
import { newlyBegun, prepared } from './half-messages.ts';
import type { DataShardLimits } from './limits.ts';
import { isForeign } from './owner.ts';
import type { StateWriter } from './state-port.ts';
import type { OffsetPlan, PartPlan, TransactionCommand } from './transaction-commands.ts';
import type { Transaction } from './transaction-rows.ts';
import type { Transactions } from './transactions.ts';

type CommandOf<Type extends TransactionCommand['type']> = Extract<
  TransactionCommand,
  { type: Type }
>;

const NOWHERE: StoredAt = Object.freeze({ term: 0, index: 0 });
const DONE: ApplyResult = Object.freeze({ type: 'done' });

export class Coordinator {
  readonly #transactions: Transactions;
  readonly #limits: DataShardLimits;

  constructor(transactions: Transactions, limits: DataShardLimits) {
    this.#transactions = transactions;
    this.#limits = limits;
  }

  begin(command: CommandOf<'begin'>, entry: Entry, out: StateWriter): ApplyResult {
    const known = this.#transactions.byCaller(command.producerGroup, command.callerId);
    if (known !== undefined) {
      const isOwn = !isForeign(known.principal, command.principal ?? '');
      if (!(isOwn && isSame(known, command))) return refused({ reason: 'TRANSACTION_ID_REUSED' });
      return known.state === 'rolledBack' ? rolledBack() : prepared(known, true);
    }
    const { offsets } = command;
    const transaction = newlyBegun(command, entry, {
      half: undefined,
      parts: command.parts.map((part) => ({ ...part, at: NOWHERE, baseOffset: undefined })),
      offsets: offsets === undefined ? undefined : { ...offsets, at: NOWHERE },
      firstCheckAtMs: entry.timeMs + command.firstCheckAfterMs,
      dueAtMs: entry.timeMs + this.#limits.prepareTimeoutMs,
      state: 'preparing',
    });
    this.#transactions.add(transaction, out);
    return prepared(transaction, false);
  }

  /** After an outcome it comes too late: what was prepared is dropped. */
  prepared(command: CommandOf<'prepared'>, entry: Entry, out: StateWriter): ApplyResult {
    const transaction = this.#transactions.byId(command.transaction);
    if (transaction === undefined) return refused({ reason: 'TRANSACTION_NOT_FOUND' });
    if (transaction.state === 'rolledBack') return rolledBack();
    if (transaction.state !== 'preparing') return prepared(transaction, true);
    const firstCheckAtMs = entry.timeMs + transaction.firstCheckAfterMs;
    this.#transactions.change(
      transaction,
      {
        ...placed(transaction, command.parts),
        ...{ state: 'undecided', preparedAtMs: entry.timeMs },
        ...{ firstCheckAtMs, dueAtMs: firstCheckAtMs },
      },
      out,
    );
    return prepared(transaction, false);
  }

  resolved(command: CommandOf<'resolved'>, entry: Entry, out: StateWriter): ApplyResult {
    const transaction = this.#transactions.byId(command.transaction);
    const before = transaction?.unresolved ?? [];
    const unresolved = before.filter((shard) => !command.shards.includes(shard));
    if (transaction === undefined || unresolved.length === before.length) return DONE;
    const shown = new Map(command.shown.map(({ part, baseOffset }) => [part, baseOffset]));
    const parts = transaction.parts.map((part, at) => ({
      ...part,
      baseOffset: shown.get(at) ?? part.baseOffset,
    }));
    this.#transactions.resolve(transaction, { parts, unresolved }, entry, out);
    return DONE;
  }
}

function rolledBack(): ApplyResult {
  return refused({ reason: 'TRANSACTION_ENDED', state: 'rolledBack' });
}

function isSame(known: Transaction, command: CommandOf<'begin'>): boolean {
  const sameParts =
    known.half === undefined &&
    known.parts.length === command.parts.length &&
    known.parts.every((part, at) => isSamePart(part, command.parts[at]!));
  return sameParts && isSameGroup(known.offsets, command.offsets);
}

function isSamePart(part: PartPlan, other: PartPlan): boolean {
  return part.queueId === other.queueId && part.count === other.count;
}

function isSameGroup(offsets: OffsetPlan | undefined, other: OffsetPlan | undefined): boolean {
  return offsets?.group === other?.group;
}

function placed(
  transaction: Transaction,
  at: readonly StoredAt[],
): Pick<Transaction, 'parts' | 'offsets'> {
  const { parts, offsets } = transaction;
  assert(at.length === parts.length + (offsets === undefined ? 0 : 1), 'a part without its place');
  return {
    parts: parts.map((part, number) => ({ ...part, at: at[number]! })),
    offsets: offsets === undefined ? undefined : { ...offsets, at: at[parts.length]! },
  };
}
