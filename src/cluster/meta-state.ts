/**
 * The metadata shard's replicated state machine: topics, their queues' places, members,
 * where replicas live (roster.ts). Deterministic. It only records what shall be; reconcilers bring
 * it about in the shards and report back with commands, so that a crash in between loses nothing.
 */
import assert from 'node:assert';
import type { Entry, NodeId, ReplicaId, ShardId, ShardTimeMs } from '../../raft/types.ts';
import { EntryType } from '../../raft/types.ts';
import { checkedLevel, NEWEST_LEVEL } from '../broker/feature-level.ts';
import type { StateRow, StateWriter } from '../broker/state-port.ts';
import type { AccessRule, AccessView } from './access-api.ts';
import { AccessRules } from './access-rules.ts';
import type {
  MemberView,
  MetaCommand,
  MetaResult,
  MetaState,
  PendingTopic,
  ShardPlacement,
  TopicQueue,
  TopicView,
} from './api.ts';
import type { Birth } from './birth-placement.ts';
import { keyHash } from './hash.ts';
import {
  decodeMetaCommand,
  decodeVersionedJson,
  encodeVersionedJson,
  MetaFormatError,
  uint,
} from './meta-codec.ts';
import { placeQueues } from './placement.ts';
import type { Quota, QuotaView } from './quota-api.ts';
import { Quotas } from './quotas.ts';
import { Roster } from './roster.ts';
import type { TopicRecord } from './topics.ts';
import { isGrowing, refusesWrites, Topics } from './topics.ts';

export type { MetaState } from './api.ts';

type CommandOf<Type extends MetaCommand['type']> = Extract<MetaCommand, { type: Type }>;
type RefusalReason = Extract<MetaResult, { type: 'refused' }>['reason'];

/** Bounds of the metadata; the same on every replica. */
export interface MetaLimits {
  readonly maxTopics: number;
  /** Queues of all topics together. */
  readonly maxQueues: number;
  readonly maxAccessRules: number;
  /** Of tokens and principals, as long as a token that they concern could be valid. */
  readonly maxRevocations: number;
  readonly maxQuotas: number;
}

export const META_LIMITS: MetaLimits = Object.freeze({
  maxTopics: 10_000,
  maxQueues: 100_000,
  maxAccessRules: 10_000,
  maxRevocations: 10_000,
  maxQuotas: 10_000,
});

const DONE: MetaResult = Object.freeze({ type: 'done' });
const COUNTER_KEY = 'next-queue-id';
const LEVEL_KEY = 'feature-level';

export function createMetaState(birth: Birth, limits: MetaLimits = META_LIMITS): MetaState {
  assert(Number.isInteger(birth.dataShards) && birth.dataShards >= 1);
  return new MetaShardState(birth, limits);
}

class MetaShardState implements MetaState {
  readonly #limits: MetaLimits;
  readonly #topics = new Topics();
  readonly #roster: Roster;
  readonly #access = new AccessRules();
  readonly #quotas = new Quotas();
  /** Index i: queues on data shard i + 1, also those being opened or closed. */
  readonly #queuesPerShard: number[];
  #queueCount = 0;
  #nextQueueId = 1;
  readonly #bornAtLevel: number;
  #level: number;

  constructor(birth: Birth, limits: MetaLimits) {
    this.#limits = limits;
    this.#bornAtLevel = checkedLevel(birth.featureLevel ?? NEWEST_LEVEL);
    this.#level = this.#bornAtLevel;
    this.#roster = new Roster(birth);
    this.#queuesPerShard = new Array<number>(birth.dataShards).fill(0);
  }

  load(rows: Iterable<StateRow>): void {
    this.#roster.reset();
    this.#topics.reset();
    this.#access.reset();
    this.#quotas.reset();
    this.#queuesPerShard.fill(0);
    this.#queueCount = 0;
    this.#nextQueueId = 1;
    this.#level = this.#bornAtLevel;
    const topicRows: StateRow[] = [];
    for (const row of rows) {
      if (row.table === 'topic') topicRows.push(row);
      else if (row.table === 'meta') this.#loadMetaRow(row);
    }
    this.#topics.load(topicRows);
    for (const topic of this.#topics.all()) this.#count(topic.queues, 1);
  }

  apply(entry: Entry, out: StateWriter): MetaResult {
    if (entry.type !== EntryType.command) return DONE;
    const command = decodeMetaCommand(entry.head);
    switch (command.type) {
      case 'createTopic':
        return this.#createTopic(command, entry, out);
      case 'updateTopic':
        return this.#updateTopic(command, out);
      case 'deleteTopic':
        return this.#deleteTopic(command, out);
      case 'topicOpened':
        return this.#topicOpened(command, out);
      case 'topicFenced':
        return this.#topicFenced(command, out);
      case 'topicClosed':
        return this.#topicClosed(command, out);
      case 'raiseLevel':
        return this.#raiseLevel(command.level, out);
      case 'grantAccess':
        return this.#grantAccess(command.rule, out);
      case 'revokeAccess':
        this.#access.revoke(command.rule, out);
        return DONE;
      case 'revokePrincipal':
      case 'revokeToken':
        return this.#revokeTokens(command, entry, out);
      case 'setQuota':
        return this.#setQuota(command.quota, out);
      case 'removeQuota':
        this.#quotas.remove(command.principal, out);
        return DONE;
      case 'trim':
        assert(command.logTrim < entry.index, 'log trim past its own entry');
        return { type: 'trimmed', logTrim: command.logTrim };
      default:
        return this.#roster.apply(command, out);
    }
  }

  featureLevel(): number {
    return this.#level;
  }

  topic(name: string): TopicView | undefined {
    const view = this.#topics.viewByName(name);
    return view?.state === 'deleting' ? undefined : view;
  }

  topicById(topicId: string): TopicView | undefined {
    return this.#topics.view(topicId);
  }

  topics(after: string, limit: number): readonly TopicView[] {
    return this.#topics.viewsAfter(after, limit);
  }

  topicCount(): number {
    return this.#topics.count;
  }

  members(): readonly MemberView[] {
    return this.#roster.members();
  }

  member(node: NodeId): MemberView | undefined {
    return this.#roster.member(node);
  }

  isKnownNode(node: NodeId): boolean {
    return this.#roster.isKnownNode(node);
  }

  wasRemoved(node: NodeId, incarnation: string): boolean {
    return this.#roster.wasRemoved(node, incarnation);
  }

  placements(): readonly ShardPlacement[] {
    return this.#roster.placements();
  }

  placement(shard: ShardId): ShardPlacement | undefined {
    return this.#roster.placement(shard);
  }

  isRetired(shard: ShardId, replica: ReplicaId): boolean {
    return this.#roster.isRetired(shard, replica);
  }

  access(): AccessView {
    return this.#access;
  }

  quotas(): QuotaView {
    return this.#quotas;
  }

  shardOfGroup(group: string): ShardId {
    return 1 + (keyHash(group) % this.#queuesPerShard.length);
  }

  pendingTopics(): readonly PendingTopic[] {
    return this.#topics.pending();
  }

  #raiseLevel(level: number, out: StateWriter): MetaResult {
    if (level <= this.#level) return DONE;
    this.#level = checkedLevel(level);
    out.put('meta', metaKey(LEVEL_KEY), encodeVersionedJson({ level }));
    return DONE;
  }

  #createTopic(command: CommandOf<'createTopic'>, entry: Entry, out: StateWriter): MetaResult {
    const { name, owner, queueCount, config } = command;
    const known = this.#topics.byName(name);
    if (known?.state === 'deleting') return refuse('TOPIC_BUSY', `${name} is being deleted`);
    if (known !== undefined)
      return refuse('TOPIC_EXISTS', `topic ${name} exists already (id ${known.topicId})`);
    if (this.#topics.count >= this.#limits.maxTopics) {
      return refuse('TOO_MANY_TOPICS', `maxTopics ${this.#limits.maxTopics} is reached`);
    }
    if (this.#exceedsQueues(queueCount)) return this.#tooManyQueues();
    const isOver = owner !== undefined && this.#topics.countOf(owner) >= this.#maxTopicsOf(owner);
    if (isOver) return refuse('QUOTA_FULL', topicQuotaText(owner, this.#maxTopicsOf(owner)));
    const queues = this.#place(0, queueCount, out);
    return this.#put(
      {
        name,
        topicId: String(entry.index),
        queueEpoch: 1,
        minQueueEpoch: 0,
        isFenced: true,
        config,
        createdAtMs: entry.timeMs as ShardTimeMs,
        ...(owner === undefined ? {} : { owner }),
        state: 'creating',
        queues,
        openCount: 0,
      },
      out,
    );
  }

  #updateTopic(command: CommandOf<'updateTopic'>, out: StateWriter): MetaResult {
    const found = this.#find(command.name, command.topicId);
    if ('type' in found) return found;
    if (found.state === 'deleting') return notFound(command.name);
    const { queues, config } = found;
    const wanted = command.queueCount ?? queues.length;
    if (wanted < queues.length) {
      return refuse(
        'QUEUES_ONLY_GROW',
        `topic ${found.name} has ${queues.length} queues, and topics only grow: ask for more`,
      );
    }
    const changed = { ...found, config: { ...config, ...command.config } };
    const unfit = compactedUnfit(changed, wanted);
    if (unfit !== undefined) return unfit;
    const changesWrites = refusesWrites(changed) !== refusesWrites(found);
    if ((wanted > queues.length || changesWrites) && isGrowing(found)) {
      return refuse('TOPIC_BUSY', `queues of ${found.name} are still being opened`);
    }
    if (wanted > queues.length && changed.config.order === 'strict') {
      const isDrained = command.drainedAtEpoch === found.minQueueEpoch && !changesWrites;
      if (!refusesWrites(found) || !found.isFenced || !isDrained) return notDrained(found);
    }
    if (this.#exceedsQueues(wanted - queues.length)) return this.#tooManyQueues();
    const added = this.#place(queues.length, wanted - queues.length, out);
    const grown = { ...changed, queues: [...queues, ...added] };
    return this.#put(changesWrites ? switched(grown) : grown, out);
  }

  /** Repeated while the queues are being closed: the same answer. */
  #deleteTopic(command: CommandOf<'deleteTopic'>, out: StateWriter): MetaResult {
    const found = this.#find(command.name, command.topicId);
    if ('type' in found) return found;
    return this.#put({ ...found, state: 'deleting' }, out);
  }

  #topicOpened(command: CommandOf<'topicOpened'>, out: StateWriter): MetaResult {
    const { topicId, queueCount } = command;
    const topic = this.#topics.byId(topicId);
    const isStale = topic === undefined || topic.state === 'deleting';
    if (isStale || queueCount <= topic.openCount) return DONE;
    assert(queueCount <= topic.queues.length, 'more queues opened than were placed');
    const isFirst = topic.state === 'creating';
    const queueEpoch = topic.queueEpoch + (isFirst ? 0 : 1);
    const opened = { ...topic, state: 'active', openCount: queueCount, queueEpoch } as const;
    return this.#put(refusesWrites(opened) ? switched(opened) : opened, out);
  }

  #topicFenced(command: CommandOf<'topicFenced'>, out: StateWriter): MetaResult {
    const topic = this.#topics.byId(command.topicId);
    if (topic?.minQueueEpoch !== command.minQueueEpoch || topic.isFenced) return DONE;
    return this.#put({ ...topic, isFenced: true }, out);
  }

  #topicClosed(command: CommandOf<'topicClosed'>, out: StateWriter): MetaResult {
    const topic = this.#topics.byId(command.topicId);
    if (topic?.state !== 'deleting') return DONE;
    this.#count(topic.queues, -1);
    this.#topics.remove(topic, out);
    return DONE;
  }

  #grantAccess(rule: AccessRule, out: StateWriter): MetaResult {
    const { maxAccessRules } = this.#limits;
    if (this.#access.count >= maxAccessRules && !this.#access.has(rule)) {
      const text = `maxAccessRules ${maxAccessRules} is reached: allow prefixes, or revoke some`;
      return refuse('TOO_MANY_ACCESS_RULES', text);
    }
    this.#access.grant(rule, out);
    return DONE;
  }

  #revokeTokens(
    command: CommandOf<'revokePrincipal' | 'revokeToken'>,
    { timeMs }: Entry,
    out: StateWriter,
  ): MetaResult {
    this.#access.forgetRevocations(timeMs as ShardTimeMs, out);
    const { maxRevocations } = this.#limits;
    if (this.#access.revocationCount >= maxRevocations) {
      const text = `maxRevocations ${maxRevocations} is reached: change the key of auth.tokenKeys`;
      return refuse('TOO_MANY_ACCESS_RULES', text);
    }
    if (command.type === 'revokeToken') {
      this.#access.revokeToken(command.tokenId, timeMs as ShardTimeMs, out);
    } else this.#access.revokePrincipal(command.principal, command.issuedUntilMs, out);
    return DONE;
  }

  #setQuota(quota: Quota, out: StateWriter): MetaResult {
    const { maxQuotas } = this.#limits;
    if (this.#quotas.count >= maxQuotas && !this.#quotas.has(quota.principal)) {
      const text = `maxQuotas ${maxQuotas} is reached: let the quota of * do for most`;
      return refuse('TOO_MANY_ACCESS_RULES', text);
    }
    this.#quotas.set(quota, out);
    return DONE;
  }

  #maxTopicsOf(owner: string): number {
    return this.#quotas.of(owner)?.topics ?? Number.POSITIVE_INFINITY;
  }

  /** By name, checked against the id where the caller gave one. */
  #find(name: string, topicId: string): TopicRecord | MetaResult {
    const topic = this.#topics.byName(name);
    if (topic === undefined) return notFound(name);
    if (topicId === '' || topicId === topic.topicId) return topic;
    return refuse(
      'TOPIC_RECREATED',
      `topic ${name} was created again: its id is ${topic.topicId}, not ${topicId}`,
    );
  }

  #place(firstQueue: number, count: number, out: StateWriter): TopicQueue[] {
    if (count === 0) return [];
    const firstId = this.#nextQueueId;
    const queues = placeQueues(this.#queuesPerShard, count).map((shard, i) => ({
      queue: firstQueue + i,
      queueId: firstId + i,
      shard,
    }));
    this.#count(queues, 1);
    this.#nextQueueId += count;
    out.put('meta', metaKey(COUNTER_KEY), encodeVersionedJson({ next: this.#nextQueueId }));
    return queues;
  }

  #count(queues: readonly TopicQueue[], step: 1 | -1): void {
    for (const { shard } of queues) {
      assert(shard >= 1 && shard <= this.#queuesPerShard.length, 'a queue on no data shard');
      this.#queuesPerShard[shard - 1]! += step;
    }
    this.#queueCount += step * queues.length;
  }

  #exceedsQueues(added: number): boolean {
    return added > 0 && this.#queueCount + added > this.#limits.maxQueues;
  }

  #tooManyQueues(): MetaResult {
    const { maxQueues } = this.#limits;
    return refuse('TOO_MANY_TOPICS', `maxQueues ${maxQueues} of the cluster would be exceeded`);
  }

  #put(topic: TopicRecord, out: StateWriter): MetaResult {
    return { type: 'topic', topic: this.#topics.put(topic, out) };
  }

  #loadMetaRow({ key, value }: StateRow): void {
    const name = Buffer.from(key).toString('utf8');
    const fields = decodeVersionedJson(value);
    if (name === COUNTER_KEY) this.#nextQueueId = uint(fields, 'next');
    else if (name === LEVEL_KEY) this.#level = checkedLevel(uint(fields, 'level'));
    else if (![this.#roster, this.#access, this.#quotas].some((one) => one.loadRow(name, fields))) {
      throw new MetaFormatError(`metadata row ${name} is not known here`);
    }
  }
}

/**
 * As its `config.writes` says. While writes are refused, no write can have the epoch that the
 * queues ask for; when they are accepted again, it is the topic's own.
 */
function switched(topic: TopicRecord): TopicRecord {
  const { minQueueEpoch, queueEpoch } = topic;
  if (!refusesWrites(topic)) return { ...topic, queueEpoch: minQueueEpoch };
  return { ...topic, minQueueEpoch: queueEpoch + 1, isFenced: false };
}

/** A key stays in its queue, and nobody takes the newest of one: undefined = it may be so. */
function compactedUnfit(topic: TopicRecord, wanted: number): MetaResult | undefined {
  const { config, name, queues } = topic;
  if (config.compaction === undefined) return undefined;
  if (wanted > queues.length) {
    const text = `topic ${name} is compacted, and keeps its queues (${queues.length})`;
    return refuse('TOPIC_COMPACTED', `${text}: with more of them keys would fall on others`);
  }
  const isTimed = config.retentionMs > 0 || config.retentionBytes > 0;
  if (!isTimed && config.diskPolicy !== 'availability') return undefined;
  const text = `topic ${name} is compacted: ${isTimed ? 'retention' : 'PREFER_AVAILABILITY'}`;
  const instead = 'what shall go is deleted by a message of its key without a body';
  return refuse('TOPIC_COMPACTED', `${text} would take the newest of keys; ${instead}`);
}

function notDrained({ name, queues }: TopicRecord): MetaResult {
  return refuse(
    'TOPIC_STRICT',
    `topic ${name} has order STRICT and ${queues.length} queues: it gets more when it refuses ` +
      `writes and all is read, as \`holdfast topic update ${name} --queues N --drain\` sees to`,
  );
}

function topicQuotaText(owner: string, max: number): string {
  const whose = JSON.stringify(owner);
  return `the quota of ${whose} is reached (topics: ${max}): delete one, or raise it`;
}

function metaKey(name: string): Uint8Array {
  return new Uint8Array(Buffer.from(name, 'utf8'));
}

function notFound(name: string): MetaResult {
  return refuse('TOPIC_NOT_FOUND', `no topic ${name}`);
}

function refuse(reason: RefusalReason, detail: string): MetaResult {
  return { type: 'refused', reason, detail };
}
