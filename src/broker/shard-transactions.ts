/** All that a data shard has of transactions, as coordinator and as participant. */
import type { Entry, LogIndex, ShardId, ShardTimeMs } from '../../raft/types.ts';
import type { PartView, StateCounts } from './api.ts';
import type {
  ApplyResult,
  BatchId,
  HeldBody,
  QueueId,
  QueueOffsetEntry,
  Refusal,
  StoredAt,
} from './commands.ts';
import { Coordinator } from './coordinator.ts';
import type { GroupCalls } from './group-calls.ts';
import { HalfMessages } from './half-messages.ts';
import type { LateReferences } from './late-references.ts';
import type { DataShardLimits } from './limits.ts';
import { OffsetHolds } from './offset-holds.ts';
import type { Queues } from './queues.ts';
import type { StateRow, StateWriter, Table } from './state-port.ts';
import type { GlobalTransactionId, TransactionCommand } from './transaction-commands.ts';
import { TransactionParts } from './transaction-parts.ts';
import { readTransaction } from './transaction-rows.ts';
import { Transactions } from './transactions.ts';

export interface TransactionSurroundings {
  readonly shard: ShardId;
  readonly limits: DataShardLimits;
  readonly queues: Queues;
  readonly references: LateReferences;
  readonly groups: GroupCalls;
}

export class ShardTransactions {
  readonly all: Transactions;
  readonly #halfMessages: HalfMessages;
  readonly #coordinator: Coordinator;
  readonly #parts: TransactionParts;
  readonly #holds: OffsetHolds;

  constructor({ shard, limits, queues, references, groups }: TransactionSurroundings) {
    this.all = new Transactions(limits);
    this.#halfMessages = new HalfMessages(shard, queues, this.all, references);
    this.#coordinator = new Coordinator(this.all, limits);
    this.#parts = new TransactionParts(queues, references, limits);
    this.#holds = new OffsetHolds(groups);
  }

  get counts(): Pick<StateCounts, 'transactions' | 'parked' | 'parts' | 'heldOffsets'> {
    return {
      transactions: this.all.count,
      parked: this.all.parkedCount,
      parts: this.#parts.count,
      heldOffsets: this.#holds.count,
    };
  }

  apply(command: TransactionCommand, entry: Entry, out: StateWriter): ApplyResult {
    switch (command.type) {
      case 'prepare':
        return this.#halfMessages.prepare(command, entry, out);
      case 'end':
        return this.#halfMessages.end(command, entry, out);
      case 'leaseChecks':
        return this.#halfMessages.leaseChecks(command, entry, out);
      case 'checksDelivered':
        return this.#halfMessages.checksDelivered(command, out);
      case 'park':
        return this.#halfMessages.park(command, entry, out);
      case 'resume':
        return this.#halfMessages.resume(command, entry, out);
      case 'begin':
        return this.#coordinator.begin(command, entry, out);
      case 'prepared':
        return this.#coordinator.prepared(command, entry, out);
      case 'resolved':
        return this.#coordinator.resolved(command, entry, out);
      case 'preparePart':
        return this.#parts.prepare(command, entry, out);
      case 'prepareOffsets':
        return this.#holds.prepare(command, entry, out);
      case 'resolve':
        this.#holds.resolve(command, entry.timeMs, out);
        return { type: 'resolved', shown: this.#parts.resolve(command, entry, out) };
    }
  }

  /** Why a commit or reset of these offsets must wait; undefined = it need not. */
  pendingOffset(
    group: string,
    topicId: string,
    offsets: readonly QueueOffsetEntry[],
  ): Refusal | undefined {
    return this.#holds.pending(group, topicId, offsets);
  }

  /** Why its deletion must wait; undefined = it need not. */
  pendingGroup(group: string): Refusal | undefined {
    return this.#holds.pendingOf(group);
  }

  /** Batches without an outcome, or whose outcome has not come. */
  waitingIn(queueId: QueueId): number {
    return this.all.openIn(queueId) + this.#parts.heldIn(queueId);
  }

  dropQueue(queueId: QueueId, out: StateWriter): void {
    this.all.dropQueue(queueId, out);
    this.#parts.dropQueue(queueId, out);
  }

  forgetTopic(topicId: string, out: StateWriter): void {
    this.#holds.forgetTopic(topicId, out);
  }

  /** Lowest log index that messages of transactions without an outcome lie in. */
  lowestIndex(): LogIndex | undefined {
    return earlier(this.all.places.lowestIndex(), this.#parts.places.lowestIndex());
  }

  /** Bodies of transactions without an outcome below `index`; of each kind the lowest first. */
  below(index: LogIndex, limit: number): readonly HeldBody[] {
    return [...this.all.places.below(index, limit), ...this.#parts.places.below(index, limit)];
  }

  placeOf(id: BatchId): StoredAt | undefined {
    return this.all.places.find(id) ?? this.#parts.places.find(id);
  }

  /** Their bytes lie in `entry`, too: from now on only there. */
  move(
    { owner, id, from }: { owner: 'half' | 'part'; id: BatchId; from: StoredAt },
    entry: Entry,
    out: StateWriter,
  ): ApplyResult {
    if (owner === 'part') return this.#parts.move(id, from, entry, out);
    return { type: 'copied', moved: this.all.move(id, from, entry, out) };
  }

  *heldSince(sinceMs: ShardTimeMs): Generator<GlobalTransactionId> {
    yield* this.#parts.heldSince(sinceMs);
    yield* this.#holds.heldSince(sinceMs);
  }

  part(index: LogIndex): PartView | undefined {
    return this.#parts.get(index);
  }

  oldestHeldAtMs(): ShardTimeMs | undefined {
    return earlier(this.#parts.oldestAtMs, this.#holds.oldestAtMs);
  }

  load(rowsOf: (table: Table) => readonly StateRow[]): void {
    this.all.load(rowsOf('transaction').map(readTransaction));
    this.#parts.load(rowsOf('transaction-part'));
    this.#holds.load(rowsOf('offset-hold'));
  }
}

function earlier(a: number | undefined, b: number | undefined): number | undefined {
  if (a === undefined || b === undefined) return a ?? b;
  return Math.min(a, b);
}
