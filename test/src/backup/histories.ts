/**
 * Random histories of a cluster without nodes: shards apply entries as they come, and what works
 * over several shards (transactions, topics, committed offsets, a backup) goes on step by step,
 * one of them at a time, in any order.
 */
import { EMPTY_BYTES, type Entry, EntryType } from '../../../raft/types.ts';
import { ShardReplay } from '../../../src/backup/shard-replay.ts';
import { encodeCommand } from '../../../src/broker/command-codec.ts';
import type { Command, StoredAt } from '../../../src/broker/commands.ts';
import { DATA_SHARD_LIMITS } from '../../../src/broker/limits.ts';
import {
  answerAbout,
  outcomesToAsk,
  outcomesToTell,
  resolvedBy,
} from '../../../src/broker/outcomes.ts';
import type { TopicQueue, TopicView } from '../../../src/cluster/api.ts';
import { encodeMetaCommand } from '../../../src/cluster/meta-codec.ts';
import { born } from '../../harness/births.ts';

export const DATA_SHARDS = 3;
export const BIRTH = born(3, DATA_SHARDS, 3);
const SHARDS = [0, 1, 2, 3];
const DATA = SHARDS.slice(1);
const NOWHERE = { index: 0, term: 0, timeMs: 0 };
/** So long that a transaction is forgotten soon after all have applied its outcome. */
const STEP_MS = DATA_SHARD_LIMITS.endedTransactionKeepMs / 4;
const EVER = Number.MAX_SAFE_INTEGER;

export type Random = (below: number) => number;

/** Mulberry32. */
export function randomFrom(seed: number): Random {
  let state = seed;
  return (below) => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) % below;
  };
}

/** Shards with their logs; what is shown is remembered as shard:index of its entry. */
export class Shards {
  readonly logs = new Map<number, Entry[]>();
  readonly replays = new Map<number, ShardReplay>();
  readonly visible = new Set<string>();
  #timeMs = 1_000_000;

  constructor() {
    for (const shard of SHARDS) {
      this.logs.set(shard, []);
      this.replays.set(shard, new ShardReplay(shard, BIRTH, NOWHERE, []));
    }
  }

  /** What a restore makes of these logs. */
  cutAt(cut: ReadonlyMap<number, number>): Shards {
    const restored = new Shards();
    for (const [shard, entries] of this.logs) {
      for (const entry of entries.slice(0, cut.get(shard))) restored.add(shard, entry);
    }
    restored.#timeMs = this.#timeMs;
    return restored;
  }

  data(shard: number) {
    return this.replays.get(shard)!.data!;
  }

  get meta() {
    return this.replays.get(0)!.meta!;
  }

  end(shard: number): number {
    return this.logs.get(shard)!.length;
  }

  append(shard: number, command: Command): StoredAt {
    return this.#append(shard, encodeCommand(command));
  }

  appendMeta(command: Parameters<typeof encodeMetaCommand>[0]): StoredAt {
    return this.#append(0, encodeMetaCommand(command));
  }

  #append(shard: number, head: Uint8Array): StoredAt {
    const index = this.end(shard) + 1;
    this.#timeMs += STEP_MS;
    const body = { head, payload: EMPTY_BYTES, bodyCrc: 0 };
    this.add(shard, { index, term: 1, type: EntryType.command, timeMs: this.#timeMs, ...body });
    return { term: 1, index };
  }

  add(shard: number, entry: Entry): void {
    this.logs.get(shard)!.push(entry);
    const { rows } = this.replays.get(shard)!.apply(entry);
    for (const { index } of rows) this.visible.add(`${shard}:${index}`);
  }

  /** All that a cluster does by itself, until nothing is left to do. */
  settle(): void {
    for (let before = -1; before !== this.#length; ) {
      before = this.#length;
      for (const topic of this.meta.pendingTopics()) {
        for (const _ of bringAbout(this, topic.topicId));
      }
      for (const shard of DATA) {
        for (const { id, producerGroup } of [...this.data(shard).openTransactions(0)]) {
          this.append(shard, {
            ...{ type: 'end', producerGroup, transaction: { by: 'id', id } },
            ...{ decision: 'rollback', by: 'operator' },
          });
        }
        for (const _ of push(this, shard, () => 0));
        for (const [coordinator, ids] of outcomesToAsk(this.data(shard), EVER)) {
          for (const id of ids) {
            const answer = answerAbout(this.data(coordinator), id, shard);
            if (answer !== null) this.append(shard, answer);
          }
        }
      }
    }
  }

  get #length(): number {
    return DATA.reduce((sum, shard) => sum + this.end(shard), this.end(0));
  }
}

/** Something that goes on over several shards, a step at a time. */
type Work = Generator<void, void, void>;

/** As the topic reconciler. */
function* bringAbout(shards: Shards, topicId: string): Work {
  const pending = shards.meta.pendingTopics().find((topic) => topic.topicId === topicId);
  if (pending === undefined || pending.phase === 'fence') return;
  const { phase, queues } = pending;
  for (const { queue, queueId, shard } of queues) {
    if (phase === 'close') shards.append(shard, { type: 'closeQueue', queueId });
    else shards.append(shard, { type: 'openQueue', queueId, topicId, queue });
    yield;
  }
  if (phase === 'open') {
    shards.appendMeta({ type: 'topicOpened', topicId, queueCount: pending.queueCount });
    return;
  }
  for (const shard of DATA) {
    shards.append(shard, { type: 'forgetTopic', topicId });
    yield;
  }
  shards.appendMeta({ type: 'topicClosed', topicId });
}

/** As the outcome pusher. */
function* push(shards: Shards, shard: number, random: Random): Work {
  const batches = [...outcomesToTell(shard, shards.data(shard), () => false, 3)];
  while (batches.length > 0) {
    const [[to, batch]] = batches.splice(random(batches.length), 1) as [(typeof batches)[0]];
    for (const told of batch) {
      shards.append(to, told);
      yield;
      shards.append(shard, resolvedBy(to, told, []));
      yield;
    }
  }
}

export interface MadeTransaction {
  readonly parts: { readonly shard: number; readonly index: number }[];
  /** Of a group of its own. */
  offsets: { readonly group: string; readonly queue: TopicQueue } | undefined;
  /** When its commit was acknowledged, as the number of the step. */
  committedAt: number;
}

export interface MadeHistory {
  readonly shards: Shards;
  readonly floors: ReadonlyMap<number, number>;
  readonly ceilings: ReadonlyMap<number, number>;
  /** Messages that were acknowledged before the backup began, as shard:index. */
  readonly owed: ReadonlySet<string>;
  readonly transactions: readonly MadeTransaction[];
  readonly groups: ReadonlyMap<string, number>;
  readonly begunAt: number;
}

export class History {
  readonly shards = new Shards();
  readonly floors = new Map<number, number>();
  readonly ceilings = new Map<number, number>();
  readonly transactions: MadeTransaction[] = [];
  /** Each group, and the shard that it lives in. */
  readonly groups = new Map<string, number>();
  readonly #acked: { readonly name: string; readonly at: number }[] = [];
  readonly #random: Random;
  #step = 0;
  #begunAt = EVER;
  #names = 0;

  constructor(seed: number) {
    this.#random = randomFrom(seed);
  }

  run(): MadeHistory {
    const works: Work[] = [this.#topic(false)];
    const backupFrom = 100 + this.#random(200);
    for (; this.#step < backupFrom || works.length > 0; this.#step += 1) {
      if (this.#step === backupFrom) works.push(this.#backup());
      const mayBegin = this.ceilings.size < SHARDS.length && works.length < 12;
      if (mayBegin && this.#random(3) === 0) works.push(this.#any());
      if (works.length === 0) continue;
      const at = this.#random(works.length);
      if (works[at]!.next().done === true) works.splice(at, 1);
      if (this.ceilings.size === SHARDS.length) break;
    }
    const { ceilings, floors, groups, shards, transactions } = this;
    const owed = this.#acked.filter(({ at }) => at < this.#begunAt).map(({ name }) => name);
    const begunAt = this.#begunAt;
    return { shards, floors, ceilings, owed: new Set(owed), transactions, groups, begunAt };
  }

  #any(): Work {
    switch (this.#random(10)) {
      case 0:
        return this.#topic(this.#random(2) === 0);
      case 1:
      case 2:
        return this.#produce();
      case 3:
      case 4:
        return this.#commitOffset();
      case 5:
      case 6:
        return push(this.shards, 1 + this.#random(DATA_SHARDS), this.#random);
      default:
        return this.#transaction();
    }
  }

  *#backup(): Work {
    this.#begunAt = this.#step;
    for (const into of [this.floors, this.ceilings]) {
      const left = [...SHARDS];
      while (left.length > 0) {
        const [shard] = left.splice(this.#random(left.length), 1) as [number];
        into.set(shard, this.shards.end(shard));
        if (this.#random(2) === 0) yield;
      }
    }
  }

  *#topic(isDeleted: boolean): Work {
    this.#names += 1;
    const name = `t${this.#names}`;
    const config = { retentionMs: 0, retentionBytes: 0, durability: 1 } as const;
    const { index } = this.shards.appendMeta({ type: 'createTopic', name, queueCount: 3, config });
    const topicId = String(index);
    yield* bringAbout(this.shards, topicId);
    if (!isDeleted) return;
    for (let wait = this.#random(20); wait > 0; wait -= 1) yield;
    this.shards.appendMeta({ type: 'deleteTopic', name, topicId });
    yield* bringAbout(this.shards, topicId);
  }

  #queue(): { readonly topic: TopicView; readonly at: TopicQueue } | undefined {
    const topics = this.shards.meta.topics('', 100).filter(({ state }) => state === 'active');
    const topic = topics[this.#random(Math.max(1, topics.length))];
    const at = topic?.queues[this.#random(3)];
    return topic === undefined || at === undefined ? undefined : { topic, at };
  }

  *#produce(): Work {
    const found = this.#queue();
    yield;
    if (found === undefined) return;
    const { queueId, shard } = found.at;
    const durability = 1;
    const { index } = this.shards.append(shard, {
      ...{ type: 'produce', queueId, count: 1, durability, producer: undefined },
    });
    this.#ack(shard, index);
  }

  #ack(shard: number, index: number): void {
    const name = `${shard}:${index}`;
    if (this.shards.visible.has(name)) this.#acked.push({ name, at: this.#step });
  }

  #group(): { readonly group: string; readonly shard: number } {
    this.#names += 1;
    const group = `g${this.#names}`;
    const shard = this.shards.meta.shardOfGroup(group);
    this.groups.set(group, shard);
    return { group, shard };
  }

  /** The end is looked at first, as the service does. */
  *#commitOffset(): Work {
    const found = this.#queue();
    if (found === undefined) return;
    const { at, topic } = found;
    const offset = this.shards.data(at.shard).queue(at.queueId)?.endOffset ?? 0;
    yield;
    const { group, shard } = this.#group();
    const { topicId } = topic;
    const offsets = [{ queue: at.queue, offset }];
    this.shards.append(shard, { type: 'commitOffsets', group, topicId, offsets });
  }

  *#transaction(): Work {
    const found = [this.#queue(), this.#queue(), this.#queue()].slice(0, 2 + this.#random(2));
    const plans = found.filter((one) => one !== undefined);
    if (plans.length < 2) return;
    const made: MadeTransaction = { parts: [], offsets: undefined, committedAt: EVER };
    this.transactions.push(made);
    const { shards } = this;
    const coordinator = plans[0]!.at.shard;
    const held = this.#random(2) === 0 ? this.#group() : undefined;
    const begun = shards.append(coordinator, {
      ...{ type: 'begin', producerGroup: 'p', callerId: '', maxChecks: 15 },
      ...{ firstCheckAfterMs: 6000, checkIntervalMs: 30_000 },
      parts: plans.map(({ at, topic }) => ({ ...at, topic: topic.name, count: 1 })),
      offsets: held,
    });
    const transaction = { shard: coordinator, ...begun };
    yield;
    const stored: StoredAt[] = [];
    for (const [part, { at }] of plans.entries()) {
      const { queueId, shard } = at;
      const command = { type: 'preparePart', transaction, part, queueId, count: 1 } as const;
      const place = shards.append(shard, command);
      if (shards.data(shard).part(place.index) === undefined) return;
      stored.push(place);
      made.parts.push({ shard, index: place.index });
      yield;
    }
    if (held !== undefined) {
      const { at, topic } = plans[0]!;
      const offset = shards.data(at.shard).queue(at.queueId)?.endOffset ?? 0;
      yield;
      const { topicId } = topic;
      const offsets = [{ queue: at.queue, offset, from: undefined }];
      const topics = [{ topicId, offsets }];
      const member = { generation: 0, memberId: '' };
      const { group } = held;
      const command = { type: 'prepareOffsets', transaction, group, topics, ...member } as const;
      stored.push(shards.append(held.shard, command));
      made.offsets = { group, queue: at };
      yield;
    }
    yield* this.#decide(coordinator, begun, stored, made);
  }

  *#decide(
    coordinator: number,
    id: StoredAt,
    parts: readonly StoredAt[],
    made: MadeTransaction,
  ): Work {
    const { shards } = this;
    shards.append(coordinator, { type: 'prepared', transaction: id, parts });
    yield;
    const decision = (['commit', 'commit', 'rollback'] as const)[this.#random(4)];
    if (decision === undefined) return;
    const transaction = { by: 'id', id } as const;
    shards.append(coordinator, { type: 'end', producerGroup: 'p', transaction, decision });
    yield* push(shards, coordinator, this.#random);
    const left = shards.data(coordinator).coordinated(id)?.unresolved ?? [];
    if (decision === 'commit' && left.length === 0) made.committedAt = this.#step;
  }
}
