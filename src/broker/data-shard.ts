/**
 * A data shard's replicated state machine: state and entry in, new state, rows and an answer out.
 * Deterministic: time, ids and decisions come with the entry. Every concept has its own file; this
 * one reads commands and hands them on.
 */
import assert from 'node:assert';
import type { Entry, LogIndex, ShardId, ShardTimeMs } from '../../raft/types.ts';
import { EntryType } from '../../raft/types.ts';
import type {
  CompactedKeysView,
  DataShard,
  DelayedView,
  GroupOffsetView,
  PartView,
  PastOffsetView,
  QueueView,
  StateCounts,
  TransactionView,
} from './api.ts';
import { decodeCommand } from './command-codec.ts';
import {
  type ApplyResult,
  type BatchId,
  type Command,
  type FirstAnswer,
  type HeldBody,
  type QueueId,
  refused,
  type StoredAt,
  type TransactionId,
  type TransactionRef,
} from './commands.ts';
import { CompactedKeys } from './compacted-keys.ts';
import { compactRows } from './compacted-rows.ts';
import { Dedup } from './dedup.ts';
import { DedupKeys } from './dedup-keys.ts';
import { Delays } from './delays.ts';
import { Deliveries } from './deliveries.ts';
import type { DeliveriesView } from './deliveries-view.ts';
import { isDeliveryCommand } from './delivery-codec.ts';
import { NEWEST_LEVEL, ROW_COPIES_LEVEL } from './feature-level.ts';
import { GroupCalls } from './group-calls.ts';
import { type GroupCommand, isGroupCommand } from './group-commands.ts';
import type { MembershipState } from './group-rows.ts';
import { type LateBucket, type LateBuckets, LateReferences } from './late-references.ts';
import type { DataShardLimits } from './limits.ts';
import { DATA_SHARD_LIMITS } from './limits.ts';
import { LogFloor } from './log-floor.ts';
import { type ProducingParts, produce } from './producing.ts';
import { Queues, type QueueTrim } from './queues.ts';
import { moveRow } from './row-moves.ts';
import { ShardLevel } from './shard-level.ts';
import { ShardTransactions } from './shard-transactions.ts';
import type { StateRow, StateWriter, Table } from './state-port.ts';
import type { GlobalTransactionId } from './transaction-commands.ts';

type CommandOf<Type extends Command['type']> = Extract<Command, { type: Type }>;

const DONE: ApplyResult = Object.freeze({ type: 'done' });

/** `limits`, and the level that the cluster was born at, must be the same on every replica. */
export function createDataShard(
  shard: ShardId,
  limits: DataShardLimits = DATA_SHARD_LIMITS,
  bornAtLevel = NEWEST_LEVEL,
): DataShard {
  return new DataShardState(shard, limits, bornAtLevel);
}

class DataShardState implements DataShard {
  readonly #shard: ShardId;
  readonly #queues: Queues;
  readonly #dedup: Dedup;
  readonly #dedupKeys = new DedupKeys();
  readonly #compactedKeys: CompactedKeys;
  readonly #transactions: ShardTransactions;
  readonly #references = new LateReferences();
  readonly #delays: Delays;
  readonly #deliveries: Deliveries;
  readonly #groups: GroupCalls;
  readonly #level: ShardLevel;
  readonly #floor = new LogFloor();
  readonly #rows: { readonly queues: Queues; readonly references: LateReferences };
  readonly #producing: ProducingParts;
  #lastIndex: LogIndex = 0;
  #lastTimeMs: ShardTimeMs = 0;

  constructor(shard: ShardId, limits: DataShardLimits, bornAtLevel: number) {
    this.#shard = shard;
    this.#level = new ShardLevel(bornAtLevel);
    this.#queues = new Queues(limits.maxClosedQueues);
    this.#dedup = new Dedup(limits);
    this.#groups = new GroupCalls(limits, this.#level);
    this.#transactions = new ShardTransactions({
      ...{ shard, limits, queues: this.#queues },
      ...{ references: this.#references, groups: this.#groups },
    });
    this.#delays = new Delays(this.#queues, this.#references);
    this.#deliveries = new Deliveries(this.#queues, limits, this.#floor);
    this.#compactedKeys = new CompactedKeys(this.#queues, limits);
    this.#rows = { queues: this.#queues, references: this.#references };
    this.#producing = {
      ...{ queues: this.#queues, dedup: this.#dedup, dedupKeys: this.#dedupKeys },
      ...{ delays: this.#delays, compactedKeys: this.#compactedKeys },
    };
  }

  load(rows: Iterable<StateRow>): void {
    assert(this.#lastIndex === 0 && this.#queues.all().next().done, 'loaded after use');
    const tables = new Map<Table, StateRow[]>();
    for (const row of rows) {
      const sameTable = tables.get(row.table);
      if (sameTable === undefined) tables.set(row.table, [row]);
      else sameTable.push(row);
    }
    const rowsOf = (table: Table): StateRow[] => tables.get(table) ?? [];
    this.#queues.load(rowsOf('queue'));
    this.#dedup.load(rowsOf('producer'));
    this.#dedupKeys.load(rowsOf('dedup-key'));
    this.#compactedKeys.load(rowsOf('compacted-key'));
    this.#transactions.load(rowsOf);
    this.#references.load(rowsOf('late-reference'));
    this.#delays.load(rowsOf('delayed'));
    this.#deliveries.load(
      rowsOf('subscription'),
      rowsOf('pending-delivery'),
      rowsOf('dead-letter'),
    );
    this.#level.load(rowsOf('feature-level'));
    this.#floor.load(rowsOf('log-floor'));
    this.#groups.load(
      rowsOf('group'),
      rowsOf('group-offset'),
      rowsOf('offset-history'),
      rowsOf('group-member'),
    );
  }

  apply(entry: Entry, out: StateWriter): ApplyResult {
    assert(entry.index > this.#lastIndex, `shard ${this.#shard}: an entry applied twice`);
    assert(entry.timeMs >= this.#lastTimeMs, `shard ${this.#shard}: shard time fell`);
    this.#lastIndex = entry.index;
    this.#lastTimeMs = entry.timeMs;
    if (entry.type !== EntryType.command) return DONE;
    return this.#dispatch(decodeCommand(entry.head), entry, out);
  }

  featureLevel(): number {
    return this.#level.current;
  }

  get compactedKeys(): CompactedKeysView {
    return this.#compactedKeys;
  }

  get deliveries(): DeliveriesView {
    return this.#deliveries;
  }

  queue(queueId: QueueId): QueueView | undefined {
    return this.#queues.get(queueId);
  }

  queues(): Iterable<QueueView> {
    return this.#queues.all();
  }

  groupEpoch(group: string): number | undefined {
    return this.#groups.offsets.epoch(group);
  }

  groupOffsets(group: string, topicId: string): readonly GroupOffsetView[] {
    return this.#groups.offsets.offsets(group, topicId);
  }

  groupOffsetsAt(group: string, topicId: string, atMs: ShardTimeMs): readonly PastOffsetView[] {
    return this.#groups.offsets.offsetsAt(group, topicId, atMs);
  }

  groupTopicIds(group: string): readonly string[] {
    return this.#groups.offsets.topicIds(group);
  }

  groupNames(after: string, limit: number): readonly string[] {
    return this.#groups.names(after, limit);
  }

  dedupKeysEndMs(): ShardTimeMs | undefined {
    return this.#dedupKeys.nextEndMs;
  }

  dedupAnswer(queueId: QueueId, key: string, nowMs: ShardTimeMs): FirstAnswer | undefined {
    const verdict = this.#dedupKeys.check({ queueId, keys: [key] }, nowMs);
    return verdict.type === 'repeat' ? verdict.first : undefined;
  }

  areDedupKeysNew(queueId: QueueId, keys: readonly string[], nowMs: ShardTimeMs): boolean {
    return this.#dedupKeys.check({ queueId, keys }, nowMs).type === 'new';
  }

  membership(group: string): MembershipState | undefined {
    return this.#groups.members.get(group);
  }

  memberships(): Iterable<MembershipState> {
    return this.#groups.members.peopled();
  }

  membershipChanges(): number {
    return this.#groups.members.changes;
  }

  transaction(producerGroup: string, ref: TransactionRef): TransactionView | undefined {
    const found = this.#transactions.all.find(producerGroup, ref);
    return found?.producerGroup === producerGroup ? found : undefined;
  }

  openTransactions(afterIndex: LogIndex): Iterable<TransactionView> {
    return this.#transactions.all.open(afterIndex);
  }

  openTransactionsOf(principal: string): number {
    return this.#transactions.all.openOf(principal);
  }

  dueToPark(nowMs: ShardTimeMs, limit: number): readonly TransactionId[] {
    return this.#transactions.all.checks.dueToPark(nowMs, limit).map(({ id }) => id);
  }

  nextToParkAtMs(): ShardTimeMs | undefined {
    return this.#transactions.all.checks.nextToParkAtMs();
  }

  dueToAbort(nowMs: ShardTimeMs): TransactionId | undefined {
    const first = this.#transactions.all.firstToAbort();
    return first !== undefined && first.dueAtMs <= nowMs ? first.id : undefined;
  }

  nextToAbortAtMs(): ShardTimeMs | undefined {
    return this.#transactions.all.firstToAbort()?.dueAtMs;
  }

  coordinated(id: TransactionId): TransactionView | undefined {
    return this.#transactions.all.byId(id);
  }

  unresolved(): Iterable<TransactionView> {
    return this.#transactions.all.unresolved();
  }

  heldSince(sinceMs: ShardTimeMs): Iterable<GlobalTransactionId> {
    return this.#transactions.heldSince(sinceMs);
  }

  part(index: LogIndex): PartView | undefined {
    return this.#transactions.part(index);
  }

  oldestHeldAtMs(): ShardTimeMs | undefined {
    return this.#transactions.oldestHeldAtMs();
  }

  dueChecks(
    producerGroup: string,
    nowMs: ShardTimeMs,
    limit: number,
    principal = '',
  ): readonly TransactionId[] {
    const { checks } = this.#transactions.all;
    return checks.due(producerGroup, principal, nowMs, limit).map(({ id }) => id);
  }

  nextCheckAtMs(producerGroup: string, principal = ''): ShardTimeMs | undefined {
    return this.#transactions.all.checks.nextCheckAtMs(producerGroup, principal);
  }

  delayed(index: LogIndex): DelayedView | undefined {
    return this.#delays.get(index);
  }

  dueDelayed(nowMs: ShardTimeMs, limit: number): readonly BatchId[] {
    return this.#delays.due(nowMs, limit);
  }

  nextDelayedAtMs(): ShardTimeMs | undefined {
    return this.#delays.nextDueAtMs;
  }

  placeOf(id: BatchId): StoredAt {
    const waiting = this.#delays.places.find(id);
    return waiting ?? this.#transactions.placeOf(id) ?? id;
  }

  heldBodies(below: LogIndex, limit: number): readonly HeldBody[] {
    const waiting = this.#delays.places.below(below, limit);
    const undecided = this.#transactions.below(below, limit);
    const found = [...waiting, ...undecided, ...this.#deliveries.below(below, limit)];
    return found.sort((a, b) => a.at.index - b.at.index).slice(0, limit);
  }

  lateBuckets(): LateBuckets {
    return this.#references.all();
  }

  lateBucket(queueId: QueueId, bucket: number): LateBucket | undefined {
    return this.#references.of(queueId, bucket);
  }

  uncountedFrom(queueId: QueueId, offset: number): number {
    return this.#references.uncountedFrom(queueId, offset);
  }

  lowestLateIndex(): LogIndex | undefined {
    const hidden = lower(this.#transactions.lowestIndex(), this.#delays.places.lowestIndex());
    const shown = lower(this.#references.lowestIndex(), this.#deliveries.lowestIndex());
    return lower(hidden, shown);
  }

  lowestNeededIndex(): LogIndex | undefined {
    return lower(this.lowestLateIndex(), this.#queues.lowestIndex('bounds'));
  }

  waitingIn(queueId: QueueId): number {
    return this.#delays.countIn(queueId) + this.#transactions.waitingIn(queueId);
  }

  counts(): StateCounts {
    return {
      producers: this.#dedup.count,
      ...this.#transactions.counts,
      delayed: this.#delays.count,
      dedupKeys: this.#dedupKeys.count,
      compactedKeys: this.#compactedKeys.count,
      ...this.#deliveries.counts,
      groups: this.#groups.offsets.count,
      groupOffsets: this.#groups.offsets.offsetCount,
      offsetRecords: this.#groups.offsets.recordCount,
      groupMembers: this.#groups.members.memberCount,
      groupQueues: this.#groups.members.queueCount,
    };
  }

  #dispatch(command: Command, entry: Entry, out: StateWriter): ApplyResult {
    if (isDeliveryCommand(command)) return this.#deliveries.apply(command, entry, out);
    if (isGroupCommand(command)) return this.#changeGroup(command, entry, out);
    switch (command.type) {
      case 'produce':
        return produce(command, this.#producing, entry, out);
      case 'commitOffsets':
      case 'resetOffsets':
        return this.#moveOffsets(command, entry, out);
      case 'forgetTopic':
        this.#transactions.forgetTopic(command.topicId, out);
        this.#groups.forgetTopic(command.topicId, entry.index, out);
        return DONE;
      case 'deliver':
        return this.#delays.deliver(command.batches, entry, out);
      case 'recall':
        return this.#recall(command.index, out);
      case 'copy':
        return this.#move(command, entry, out);
      case 'copyRow':
        return moveRow(command, this.#rows, entry, out);
      case 'compactRows':
        return compactRows(command, this.#rows, entry, out);
      case 'openQueue':
        return this.#openQueue(command, out);
      case 'closeQueue':
        return this.#closeQueue(command.queueId, entry, out);
      case 'fenceQueue':
        this.#queues.fence(command.queueId, command.minQueueEpoch, out);
        return DONE;
      case 'raiseLevel':
        this.#level.raise(command.level, out);
        return DONE;
      case 'trim':
        return this.#trim(command, entry, out);
      default:
        return this.#transactions.apply(command, entry, out);
    }
  }

  #move({ owner, id, from }: CommandOf<'copy'>, entry: Entry, out: StateWriter): ApplyResult {
    switch (owner) {
      case 'delayed':
        return this.#delays.move(id, from, entry, out);
      case 'delivery':
        return this.#deliveries.move(from, entry, out);
      default:
        return this.#transactions.move({ owner, id, from }, entry, out);
    }
  }

  #changeGroup(command: GroupCommand, entry: Entry, out: StateWriter): ApplyResult {
    const isWhole = command.type === 'deleteGroup' || command.type === 'forkGroup';
    const refusal = isWhole ? this.#transactions.pendingGroup(command.group) : undefined;
    return refusal === undefined ? this.#groups.apply(command, entry, out) : refused(refusal);
  }

  #moveOffsets(
    command: CommandOf<'commitOffsets'> | CommandOf<'resetOffsets'>,
    entry: Entry,
    out: StateWriter,
  ): ApplyResult {
    const { group, topicId, offsets } = command;
    const member = command.type === 'commitOffsets' ? command.member : undefined;
    const name = this.#groups.nameFor(group, member);
    const refusal = this.#transactions.pendingOffset(name, topicId, offsets);
    if (refusal !== undefined) return refused(refusal);
    if (command.type === 'commitOffsets') return this.#groups.commit(command, entry.timeMs, out);
    return this.#groups.reset(command, entry, out);
  }

  /** Who sends the same again means it: nothing of the first will come. */
  #recall(index: LogIndex, out: StateWriter): ApplyResult {
    const result = this.#delays.recall(index, out);
    if (result.type === 'recalled') this.#dedupKeys.dropRequest(index, out);
    return result;
  }

  #openQueue(command: CommandOf<'openQueue'>, out: StateWriter): ApplyResult {
    const { queueId } = command;
    const isOpen = this.#queues.open(command, out);
    return isOpen ? DONE : refused({ reason: 'QUEUE_NOT_OPEN', queueId });
  }

  #closeQueue(queueId: QueueId, entry: Entry, out: StateWriter): ApplyResult {
    this.#transactions.dropQueue(queueId, out);
    this.#dedup.dropQueue(queueId, out);
    this.#dedupKeys.dropQueue(queueId, out);
    this.#compactedKeys.dropQueue(queueId, out);
    this.#delays.dropQueue(queueId, out);
    this.#deliveries.dropQueue(queueId, out);
    this.#references.trim(queueId, Number.MAX_SAFE_INTEGER, out);
    this.#queues.close(queueId, entry.index, out);
    return DONE;
  }

  #trim(command: CommandOf<'trim'>, entry: Entry, out: StateWriter): ApplyResult {
    assert(command.logTrim < entry.index, 'log trim past its own entry');
    for (const trim of command.queues) {
      const rises = this.#queues.trim(trim, command.logTrim, out);
      if (rises) this.#references.trim(trim.queueId, this.#goneBelow(trim), out);
      this.#compactedKeys.trim(trim.queueId, entry.timeMs, out);
    }
    // Whoever proposed it may not have seen yet that a message was given to somebody, or a copy.
    const copied = this.#references.lowestIndex('counted');
    const unseen = lower(this.#deliveries.lowestIndex(), copied) ?? Number.MAX_SAFE_INTEGER;
    const logTrim = Math.min(command.logTrim, unseen - 1);
    const needed = lower(this.lowestLateIndex(), this.#queues.lowestIndex('exact'));
    assert(
      needed === undefined || logTrim < needed,
      `shard ${this.#shard}: log trim to ${logTrim}, but entry ${needed} is needed`,
    );
    if (this.#level.current >= ROW_COPIES_LEVEL) this.#floor.raise(logTrim, out);
    return { type: 'trimmed', logTrim };
  }

  /** Nothing of an empty queue is needed; earlier builds kept what they knew of its last bucket. */
  #goneBelow({ queueId, startOffset }: QueueTrim): number {
    const isEmpty = this.#queues.get(queueId)?.endOffset === startOffset;
    const isKnown = this.#level.current >= ROW_COPIES_LEVEL;
    return isEmpty && isKnown ? Number.MAX_SAFE_INTEGER : startOffset;
  }
}

function lower(a: LogIndex | undefined, b: LogIndex | undefined): LogIndex | undefined {
  if (a === undefined || b === undefined) return a ?? b;
  return Math.min(a, b);
}
