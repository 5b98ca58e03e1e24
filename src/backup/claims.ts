/**
 * What entries of one shard say about other shards, and what others ask of this one: gathered while
 * its log is replayed. A claim is turned into a demand (closed-cut.ts) once all shards were read.
 */
import { type Entry, EntryType, type LogIndex, type ShardId } from '../../raft/types.ts';
import { KeyKind } from '../../storage/keys.ts';
import type { TableRow } from '../../storage/level-db.ts';
import { ByteReader } from '../broker/bytes.ts';
import { decodeCommand } from '../broker/command-codec.ts';
import type { Command, QueueId, QueueOffsetEntry } from '../broker/commands.ts';
import type { GlobalTransactionId } from '../broker/transaction-commands.ts';
import { globalText } from '../broker/transaction-parts.ts';
import { readTransaction } from '../broker/transaction-rows.ts';
import { isOpen } from '../broker/transactions.ts';
import type { TopicQueue } from '../cluster/api.ts';
import { decodeMetaCommand } from '../cluster/meta-codec.ts';
import { readTopic } from '../cluster/topics.ts';
import { META_SHARD } from '../shards/shard-machine.ts';
import type { Effects, Put, ShardReplay } from './shard-replay.ts';

export type Claim =
  /** An outcome that its coordinator has decided. */
  | { readonly type: 'outcome'; readonly transaction: GlobalTransactionId }
  /** Participants that have applied an outcome, which may be forgotten therefore. */
  | {
      readonly type: 'applied';
      readonly transaction: GlobalTransactionId;
      readonly shards: readonly ShardId[];
    }
  /** An entry of another shard, by its index. */
  | { readonly type: 'entry'; readonly shard: ShardId; readonly index: LogIndex }
  /** Messages up to here were read. */
  | {
      readonly type: 'read';
      readonly topicId: string;
      readonly offsets: readonly QueueOffsetEntry[];
    }
  | { readonly type: 'opened' | 'closed'; readonly queues: readonly TopicQueue[] }
  /** The metadata gave the queue its place. */
  | { readonly type: 'placed'; readonly queueId: QueueId }
  /** The metadata has the topic, or that of the queue, as one to be deleted. */
  | { readonly type: 'deleted'; readonly topicId: string | undefined; readonly queueId?: QueueId };

export interface ClaimAt {
  readonly at: LogIndex;
  readonly claim: Claim;
}

interface KnownTopic {
  readonly queues: readonly TopicQueue[];
  /** The entry that deleted it; undefined = it stands. */
  deletedAt: LogIndex | undefined;
}

/** How far a queue came with which entry, above the floor. */
interface QueueEnds {
  readonly endBefore: number;
  readonly ends: { readonly index: LogIndex; readonly end: number }[];
}

/** The first entry that did it, per what it was done to; 0 = one before the log's start. */
type FirstEntries<Key> = Map<Key, LogIndex>;

export class ShardClaims {
  readonly replay: ShardReplay;
  readonly claims: ClaimAt[] = [];
  readonly decidedAt: FirstEntries<string> = new Map();
  readonly resolvedAt: FirstEntries<string> = new Map();
  readonly openedAt: FirstEntries<QueueId> = new Map();
  readonly closedAt: FirstEntries<QueueId> = new Map();
  readonly placedAt: FirstEntries<QueueId> = new Map();
  readonly topics = new Map<string, KnownTopic>();
  readonly topicOfQueue = new Map<QueueId, string>();
  readonly #ends = new Map<QueueId, QueueEnds>();
  readonly #floor: LogIndex;

  constructor(replay: ShardReplay, floor: LogIndex) {
    this.replay = replay;
    this.#floor = floor;
    for (const row of replay.rows()) {
      if (row.kind === KeyKind.topic) this.#topic(row, 0);
      // Those that were closed have a row, too.
      else if (row.kind === KeyKind.queue) this.openedAt.set(new ByteReader(row.key).u32be(), 0);
    }
  }

  apply(entry: Entry): void {
    const effects = this.replay.apply(entry);
    if (entry.type !== EntryType.command) return;
    const claims =
      this.replay.shard === META_SHARD
        ? this.#ofMeta(entry, effects)
        : this.#ofData(decodeCommand(entry.head), entry, effects);
    if (entry.index <= this.#floor) return;
    for (const claim of claims) this.claims.push({ at: entry.index, claim });
    this.#queueEnds(entry.index, effects);
  }

  /** With which entry the queue came as far as `offset`; 0 = before the floor. */
  reached(queueId: QueueId, offset: number): LogIndex {
    const known = this.#ends.get(queueId);
    const queue = this.replay.data!.queue(queueId);
    if (queue === undefined || offset <= (known?.endBefore ?? queue.endOffset)) return 0;
    return known?.ends.find(({ end }) => end >= offset)?.index ?? Number.POSITIVE_INFINITY;
  }

  #queueEnds(index: LogIndex, { rows }: Effects): void {
    for (const { queueId, baseOffset, count } of rows) {
      const known = this.#ends.get(queueId) ?? { endBefore: baseOffset, ends: [] };
      known.ends.push({ index, end: baseOffset + count });
      this.#ends.set(queueId, known);
    }
  }

  #ofData(command: Command, { index }: Entry, effects: Effects): Claim[] {
    switch (command.type) {
      case 'openQueue':
        first(this.openedAt, command.queueId, index);
        return [{ type: 'placed', queueId: command.queueId }];
      case 'closeQueue':
        first(this.closedAt, command.queueId, index);
        return [{ type: 'deleted', topicId: undefined, queueId: command.queueId }];
      case 'forgetTopic':
        return [{ type: 'deleted', topicId: command.topicId }];
      case 'commitOffsets':
      case 'resetOffsets':
        return [{ type: 'read', topicId: command.topicId, offsets: command.offsets }];
      case 'prepareOffsets':
        return [
          { type: 'entry', ...command.transaction },
          ...command.topics.map((topic): Claim => ({ type: 'read', ...topic })),
        ];
      case 'preparePart':
        return [{ type: 'entry', ...command.transaction }];
      case 'prepared':
        return this.#stored(command.transaction);
      case 'end':
        this.#decided(index, effects);
        return [];
      case 'resolve':
        first(this.resolvedAt, globalText(command.transaction), index);
        return [{ type: 'outcome', transaction: command.transaction }];
      case 'resolved': {
        const transaction = { shard: this.replay.shard, ...command.transaction };
        return [{ type: 'applied', transaction, shards: command.shards }];
      }
      default:
        return [];
    }
  }

  /** All parts, and the offsets, lie in their shards. */
  #stored(id: { readonly term: number; readonly index: number }): Claim[] {
    const found = this.replay.data!.coordinated(id);
    if (found === undefined) return [];
    const stored = found.offsets === undefined ? found.parts : [...found.parts, found.offsets];
    return stored.map(({ shard, at }): Claim => ({ type: 'entry', shard, index: at.index }));
  }

  #decided(index: LogIndex, { puts }: Effects): void {
    for (const { kind, key, value } of puts) {
      if (kind !== KeyKind.transaction || value === undefined) continue;
      const { id, state } = readTransaction({ table: 'transaction', key, value });
      if (isOpen({ state })) continue;
      first(this.decidedAt, globalText({ shard: this.replay.shard, ...id }), index);
    }
  }

  #ofMeta({ head, index }: Entry, { puts }: Effects): Claim[] {
    const command = decodeMetaCommand(head);
    const before = 'topicId' in command ? this.topics.get(command.topicId) : undefined;
    for (const put of puts) if (put.kind === KeyKind.topic) this.#topic(put, index);
    if (before === undefined || puts.length === 0) return [];
    if (command.type === 'topicClosed') return [{ type: 'closed', queues: before.queues }];
    if (command.type !== 'topicOpened') return [];
    return [{ type: 'opened', queues: before.queues.slice(0, command.queueCount) }];
  }

  #topic({ key, value }: TableRow | Put, index: LogIndex): void {
    const topicId = Buffer.from(key).toString('utf8');
    const before = this.topics.get(topicId);
    if (value === undefined) {
      if (before !== undefined) before.deletedAt ??= index;
      return;
    }
    const { queues, state } = readTopic({ table: 'topic', key, value });
    const deletedAt = before?.deletedAt ?? (state === 'deleting' ? index : undefined);
    this.topics.set(topicId, { queues, deletedAt });
    for (const { queueId } of queues) {
      first(this.placedAt, queueId, index);
      this.topicOfQueue.set(queueId, topicId);
    }
  }
}

function first<Key>(entries: FirstEntries<Key>, key: Key, index: LogIndex): void {
  if (!entries.has(key)) entries.set(key, index);
}
