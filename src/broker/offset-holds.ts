/**
 * Offsets of groups committed with a transaction: checked when they are prepared; then they
 * hold (group, topic, queue) until the outcome, so that nothing in between can make them wrong.
 */
import type { Entry, LogIndex, ShardTimeMs } from '../../raft/types.ts';
import { ByteReader, ByteWriter, readVersioned } from './bytes.ts';
import {
  type ApplyResult,
  isAt,
  type QueueOffsetEntry,
  type Refusal,
  type StoredAt,
} from './commands.ts';
import type { GroupCalls } from './group-calls.ts';
import { isOfMember } from './group-shares.ts';
import type { StateRow, StateWriter } from './state-port.ts';
import { readGlobalId, readTopics, writeGlobalId, writeTopics } from './transaction-codec.ts';
import type {
  GlobalTransactionId,
  MovedOffset,
  TopicOffsets,
  TransactionCommand,
} from './transaction-commands.ts';
import { globalText } from './transaction-parts.ts';

type CommandOf<Type extends TransactionCommand['type']> = Extract<
  TransactionCommand,
  { type: Type }
>;

interface Hold {
  readonly id: StoredAt;
  readonly transaction: GlobalTransactionId;
  /** Under which it commits: a member of a broadcast group has a name of its own. */
  readonly group: string;
  readonly preparedAtMs: ShardTimeMs;
  topics: readonly TopicOffsets[];
}

const VERSION = 1;

export class OffsetHolds {
  readonly #groups: GroupCalls;
  /** By log index, ascending (and so by time). */
  readonly #holds = new Map<LogIndex, Hold>();
  readonly #byTransaction = new Map<string, Hold>();
  /** By (group, topic, queue). */
  readonly #places = new Map<string, Hold>();

  constructor(groups: GroupCalls) {
    this.#groups = groups;
  }

  /** Queues, over all groups and topics. */
  get count(): number {
    return this.#places.size;
  }

  get oldestAtMs(): ShardTimeMs | undefined {
    for (const { preparedAtMs } of this.#holds.values()) return preparedAtMs;
    return undefined;
  }

  *heldSince(sinceMs: ShardTimeMs): Generator<GlobalTransactionId> {
    for (const { preparedAtMs, transaction } of this.#holds.values()) {
      if (preparedAtMs > sinceMs) return;
      yield transaction;
    }
  }

  /** Why these offsets cannot be moved now; undefined = they can. */
  pending(
    group: string,
    topicId: string,
    offsets: readonly QueueOffsetEntry[],
  ): Refusal | undefined {
    if (this.#places.size === 0) return undefined;
    for (const { queue } of offsets) {
      const hold = this.#places.get(placeText(group, topicId, queue));
      if (hold !== undefined) {
        return { reason: 'OFFSETS_PENDING', queue, transaction: hold.transaction };
      }
    }
    return undefined;
  }

  /** Why a group cannot be deleted now: the commit would bring it back. */
  pendingOf(name: string): Refusal | undefined {
    for (const { group, topics, transaction } of this.#holds.values()) {
      const [held] = topics.flatMap(({ offsets }) => offsets);
      const isOfGroup = group === name || isOfMember(group, name);
      if (held === undefined || !isOfGroup) continue;
      return { reason: 'OFFSETS_PENDING', queue: held.queue, transaction };
    }
    return undefined;
  }

  prepare(command: CommandOf<'prepareOffsets'>, entry: Entry, out: StateWriter): ApplyResult {
    const { transaction, topics, memberId, generation, principal = '' } = command;
    const known = this.#byTransaction.get(globalText(transaction));
    if (known !== undefined) return { type: 'partPrepared', at: known.id };
    const member = memberId === '' ? undefined : { memberId, generation, principal };
    const group = this.#groups.nameFor(command.group, member);
    for (const { topicId, offsets } of topics) {
      const queues = offsets.map(({ queue }) => queue);
      const refusal =
        this.#groups.members.fence(command.group, member, topicId, queues) ??
        this.pending(group, topicId, offsets) ??
        this.#moved(group, topicId, offsets);
      if (refusal !== undefined) return { type: 'refused', refusal };
    }
    const id = { term: entry.term, index: entry.index };
    const hold = { id, transaction, group, preparedAtMs: entry.timeMs, topics };
    this.#keep(hold);
    putHold(hold, out);
    return { type: 'partPrepared', at: id };
  }

  resolve(command: CommandOf<'resolve'>, nowMs: ShardTimeMs, out: StateWriter): void {
    const hold = this.#byTransaction.get(globalText(command.transaction));
    if (hold === undefined) return;
    this.#drop(hold, out);
    if (!command.commits || !command.parts.some((at) => isAt(hold.id, at))) return;
    for (const { topicId, offsets } of hold.topics) {
      this.#groups.offsets.commit(hold.group, topicId, offsets, nowMs, out);
    }
  }

  forgetTopic(topicId: string, out: StateWriter): void {
    for (const hold of this.#holds.values()) {
      if (!hold.topics.some((topic) => topic.topicId === topicId)) continue;
      this.#release(hold);
      hold.topics = hold.topics.filter((topic) => topic.topicId !== topicId);
      this.#occupy(hold);
      putHold(hold, out);
    }
  }

  load(rows: readonly StateRow[]): void {
    const found = rows.map(readHold);
    for (const hold of found.sort((a, b) => a.id.index - b.id.index)) this.#keep(hold);
  }

  /**
   * Exactly where the transaction began to read: else what it produces was produced before, by a
   * former life of the same consumer.
   */
  #moved(group: string, topicId: string, offsets: readonly MovedOffset[]): Refusal | undefined {
    for (const { queue, from: given } of offsets) {
      const current = this.#groups.offsets.offset(group, topicId, queue);
      if (current !== given) return { reason: 'OFFSET_MOVED', queue, current, given };
    }
    return undefined;
  }

  #keep(hold: Hold): void {
    this.#holds.set(hold.id.index, hold);
    this.#byTransaction.set(globalText(hold.transaction), hold);
    this.#occupy(hold);
  }

  #drop(hold: Hold, out: StateWriter): void {
    this.#holds.delete(hold.id.index);
    this.#byTransaction.delete(globalText(hold.transaction));
    this.#release(hold);
    out.put('offset-hold', rowKey(hold), undefined);
  }

  #occupy(hold: Hold): void {
    for (const place of placesOf(hold)) this.#places.set(place, hold);
  }

  #release(hold: Hold): void {
    for (const place of placesOf(hold)) this.#places.delete(place);
  }
}

function* placesOf({ group, topics }: Hold): Generator<string> {
  for (const { topicId, offsets } of topics) {
    for (const { queue } of offsets) yield placeText(group, topicId, queue);
  }
}

/** Names of groups hold no slash. */
function placeText(group: string, topicId: string, queue: number): string {
  return `${group}/${topicId}/${queue}`;
}

function rowKey({ id }: Hold): Uint8Array {
  return new ByteWriter(8).u64be(id.index).finish();
}

function putHold(hold: Hold, out: StateWriter): void {
  const row = writeGlobalId(hold.transaction, new ByteWriter(96).u8(VERSION));
  row.uint(hold.id.term).text(hold.group).uint(hold.preparedAtMs);
  out.put('offset-hold', rowKey(hold), writeTopics(hold.topics, row).finish());
}

function readHold({ key, value }: StateRow): Hold {
  const index = new ByteReader(key).u64be();
  const from = readVersioned(value, VERSION);
  const transaction = readGlobalId(from);
  const hold: Hold = {
    transaction,
    id: { term: from.uint(), index },
    group: from.text(),
    preparedAtMs: from.uint(),
    topics: readTopics(from),
  };
  from.expectEnd();
  return hold;
}
