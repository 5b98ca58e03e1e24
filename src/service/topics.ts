/** Topics: proposals to the metadata shard, then waiting until the reconciler has done its part. */
import { type Durability, Durability as Levels } from '../broker/commands.ts';
import { COMPACTION_LEVEL, QUOTAS_LEVEL } from '../broker/feature-level.ts';
import {
  DEFAULT_DEDUP_WINDOW_MS,
  type MetaCommand,
  type MetaResult,
  type TopicConfig,
  type TopicView,
} from '../cluster/api.ts';
import { encodeMetaCommand } from '../cluster/meta-codec.ts';
import { checkedName, checkedNumber, int64, nameBeforePage, pageTokenAfter } from '../convert.ts';
import { DEMANDS } from '../security/permissions.ts';
import { CallError } from '../status.ts';
import type { Call } from './call.ts';
import { ask, step } from './cold.ts';
import {
  type CompactionFields,
  checkCompaction,
  checkNotCompacting,
  compactionFields,
  compactionOf,
} from './compaction.ts';
import type { ExecutorParts } from './executor-parts.ts';
import type { Proposed } from './internal-methods.ts';
import type { Leftovers } from './leftovers.ts';
import { tooEarly } from './meta-changes.ts';
import type { OffsetCalls } from './offsets.ts';
import { metaError, topicNotFound } from './refusals.ts';

const META_SHARD = 0;
const MAX_DEDUP_WINDOW_MS = 604_800_000;
/** From 1, as in admin.proto. */
const ORDERS = ['normal', 'strict'] as const;
const WRITES = ['accepted', 'refused'] as const;
const DISK_POLICIES = ['data', 'availability'] as const;

interface ConfigFields {
  readonly retention_ms?: string;
  readonly retention_bytes?: string;
  readonly durability?: number;
  readonly dedup_window_ms?: string;
  readonly order?: number;
  readonly writes?: number;
  readonly disk_policy?: number;
  readonly compaction?: CompactionFields | null;
}
export interface TopicChange {
  readonly name: string;
  readonly topic_id: string;
  readonly queue_count: number;
  readonly config: ConfigFields | null;
}
export interface ListTopicsRequest {
  readonly page_size: number;
  readonly page_token: string;
}

interface ProposedChange {
  readonly index: number;
  readonly topic: TopicView | undefined;
}

export class TopicCalls {
  readonly #parts: ExecutorParts;
  readonly #offsets: OffsetCalls;
  readonly #leftovers: Leftovers;

  constructor(parts: ExecutorParts, offsets: OffsetCalls, leftovers: Leftovers) {
    this.#parts = parts;
    this.#offsets = offsets;
    this.#leftovers = leftovers;
  }

  async create(call: Call, request: TopicChange): Promise<object> {
    const name = checkedName('name', request.name);
    const queueCount = this.#queueCount(request) || this.#parts.config.defaultQueueCount;
    const asked = configOf(request.config);
    if (asked.writes === 'refused') {
      throw new CallError('INVALID_REQUEST', 'a new topic accepts writes: refuse them afterwards');
    }
    checkCompaction(asked);
    const isCompacted = asked.compaction !== undefined;
    if (isCompacted && this.#featureLevel < COMPACTION_LEVEL) throw tooEarly(COMPACTION_LEVEL);
    const config: TopicConfig = {
      retentionMs: isCompacted ? 0 : this.#parts.config.defaultRetentionMs,
      retentionBytes: 0,
      durability: Levels.majorityFsync,
      ...asked,
    };
    const command = {
      type: 'createTopic',
      name,
      queueCount,
      config,
      ...this.#ownerOf(call),
    } as const;
    const created = await this.#propose(call, command);
    return { topic: topicFields(await this.#grown(call, created.topic, queueCount)) };
  }

  async update(call: Call, request: TopicChange): Promise<object> {
    const name = checkedName('name', request.name);
    const queueCount = this.#queueCount(request) || undefined;
    const config = configOf(request.config);
    checkNotCompacting(config);
    const topicId = request.topic_id;
    const command = { type: 'updateTopic', name, topicId, queueCount, config } as const;
    const drained = await this.#drained(call, name, queueCount ?? 0);
    const changed = await this.#propose(call, { ...command, ...drained });
    return { topic: topicFields(await this.#grown(call, changed.topic, queueCount ?? 0)) };
  }

  async delete(call: Call, request: TopicChange): Promise<object> {
    const name = checkedName('name', request.name);
    const topicId = request.topic_id;
    const { index, topic } = await this.#propose(call, { type: 'deleteTopic', name, topicId });
    const meta = this.#parts.host.meta();
    const id = topic?.topicId ?? '';
    // Not there means gone only to a replica that has seen the end begin.
    await this.#until(call, (applied) => applied >= index && meta.topicById(id) === undefined);
    return {};
  }

  async list(call: Call, request: ListTopicsRequest): Promise<object> {
    const { defaultPageSize, maxPageSize } = this.#parts.config;
    const asked = checkedNumber('page_size', request.page_size, maxPageSize);
    const pageSize = asked || defaultPageSize;
    const after = nameBeforePage(request.page_token);
    await step((done) => this.#parts.topics.catchUp(call, (error) => done(error, undefined)));
    const topics = this.#visible(call, after, pageSize + 1);
    const page = topics.slice(0, pageSize);
    const last = topics.length > pageSize ? page.at(-1)!.name : '';
    return {
      topics: page.map(topicFields),
      next_page_token: pageTokenAfter(last),
    };
  }

  async describe(call: Call, request: { readonly name: string }): Promise<object> {
    const name = checkedName('name', request.name);
    // Answers for the topic as it is now, not as this node's replica still has it.
    await step((done) => this.#parts.topics.catchUp(call, (error) => done(error, undefined)));
    const topic = this.#parts.host.meta().topic(name);
    if (topic === undefined) throw topicNotFound(name);
    const ranges = await this.#offsets.ranges(call, topic.queues, undefined);
    return {
      topic: topicFields(topic),
      queues: topic.queues.map(({ queue, shard }, at) => ({
        queue,
        shard,
        leader: this.#parts.host.leaderOf(shard) ?? 0,
        start_offset: ranges[at]!.start,
        end_offset: ranges[at]!.end,
      })),
    };
  }

  /** Those that the caller may see; of the others not even their number. */
  #visible(call: Call, from: string, limit: number): readonly TopicView[] {
    const found: TopicView[] = [];
    for (let after = from; ; ) {
      const some = this.#parts.host.meta().topics(after, limit);
      found.push(...some.filter(({ name }) => call.may(DEMANDS.seeTopic, name)));
      if (some.length < limit || found.length >= limit) return found.slice(0, limit);
      after = some.at(-1)!.name;
    }
  }

  /** More queues for one that keeps each key's order: its fence, once nothing is left behind it. */
  async #drained(
    call: Call,
    name: string,
    queueCount: number,
  ): Promise<{ readonly drainedAtEpoch?: number }> {
    await step((done) => this.#parts.topics.catchUp(call, (error) => done(error, undefined)));
    const topic = this.#parts.host.meta().topic(name);
    if (topic?.config.order !== 'strict' || queueCount <= topic.queues.length) return {};
    if (topic.config.compaction !== undefined) return {};
    if (topic.config.writes !== 'refused' || !topic.isFenced) return {};
    await this.#leftovers.check(call, topic);
    return { drainedAtEpoch: topic.minQueueEpoch };
  }

  async #propose(call: Call, command: MetaCommand): Promise<ProposedChange> {
    const method = this.#parts.methods.propose;
    const head = encodeMetaCommand(command);
    const proposed = await ask<Proposed>(this.#parts.router, call, method, META_SHARD, head);
    const result = proposed.result as MetaResult;
    if (result.type === 'refused') {
      if (result.reason === 'QUOTA_FULL') this.#parts.meters.quotaReached('topics');
      throw metaError(result, 'name' in command ? command.name : '');
    }
    return { index: proposed.index, topic: result.type === 'topic' ? result.topic : undefined };
  }

  /** Until every queue of the topic is open and fenced as it shall be, as this node sees it. */
  async #grown(call: Call, proposed: TopicView | undefined, count: number): Promise<TopicView> {
    const id = proposed?.topicId ?? '';
    const meta = this.#parts.host.meta();
    await this.#until(call, () => {
      const topic = meta.topicById(id);
      return topic?.state === 'active' && topic.queues.length >= count && topic.isFenced;
    });
    return meta.topicById(id)!;
  }

  #until(call: Call, condition: (appliedIndex: number) => boolean): Promise<void> {
    return step((done) => {
      // A part of its own, so that it may take `abort`.
      const part = call.child((error) => done(error, undefined));
      this.#parts.waits.wait(part, condition, (refused) =>
        part.finish(refused === undefined ? undefined : unseen(refused), undefined),
      );
    });
  }

  /** Whose quota a new topic counts against: not an admin's. */
  #ownerOf({ caller, principal }: Call): { readonly owner?: string } {
    const isKept = this.#featureLevel >= QUOTAS_LEVEL;
    const isNobodys = principal === '' || caller?.principal.isAdmin === true;
    return isNobodys || !isKept ? {} : { owner: principal };
  }

  get #featureLevel(): number {
    return this.#parts.host.meta().featureLevel();
  }

  #queueCount(request: TopicChange): number {
    const { maxQueuesPerTopic } = this.#parts.config;
    return checkedNumber('queue_count', request.queue_count, maxQueuesPerTopic);
  }
}

/** The change is committed already: to say that nothing was done would be wrong. */
function unseen({ message }: CallError): CallError {
  return new CallError('OUTCOME_UNKNOWN', `the change may not be in place yet: ${message}`);
}

function configOf(fields: ConfigFields | null): Partial<TopicConfig> {
  if (fields === null) return {};
  const durability = checkedNumber('durability', fields.durability ?? 0);
  if (durability > Levels.none) {
    throw new CallError('INVALID_REQUEST', `durability ${durability} does not exist`);
  }
  const { retention_ms: retentionMs, retention_bytes: retentionBytes } = fields;
  return {
    ...(retentionMs === undefined ? {} : { retentionMs: int64('retention_ms', retentionMs) }),
    ...(retentionBytes === undefined
      ? {}
      : { retentionBytes: int64('retention_bytes', retentionBytes) }),
    ...(durability === 0 ? {} : { durability: durability as Durability }),
    ...dedupWindow(fields),
    ...orderOf(fields),
    ...writesOf(fields),
    ...diskPolicyOf(fields),
    ...(fields.compaction ? { compaction: compactionOf(fields.compaction) } : {}),
  };
}

function dedupWindow({ dedup_window_ms: text }: ConfigFields): Partial<TopicConfig> {
  if (text === undefined) return {};
  const dedupWindowMs = int64('dedup_window_ms', text);
  return { dedupWindowMs: checkedNumber('dedup_window_ms', dedupWindowMs, MAX_DEDUP_WINDOW_MS) };
}

function orderOf({ order = 0 }: ConfigFields): Partial<TopicConfig> {
  if (order === 0) return {};
  const name = ORDERS[order - 1];
  if (name !== undefined) return { order: name };
  throw new CallError('INVALID_REQUEST', `order ${order} does not exist: NORMAL or STRICT`);
}

function writesOf({ writes = 0 }: ConfigFields): Partial<TopicConfig> {
  if (writes === 0) return {};
  const name = WRITES[writes - 1];
  if (name !== undefined) return { writes: name };
  throw new CallError('INVALID_REQUEST', `writes ${writes} does not exist: ACCEPTED or REFUSED`);
}

function diskPolicyOf({ disk_policy: policy = 0 }: ConfigFields): Partial<TopicConfig> {
  if (policy === 0) return {};
  const diskPolicy = DISK_POLICIES[policy - 1];
  if (diskPolicy !== undefined) return { diskPolicy };
  throw new CallError(
    'INVALID_REQUEST',
    `disk_policy ${policy} does not exist: PREFER_DATA or PREFER_AVAILABILITY`,
  );
}

function topicFields(topic: TopicView): object {
  const { compaction } = topic.config;
  return {
    name: topic.name,
    topic_id: topic.topicId,
    queue_count: topic.queues.length,
    queue_epoch: topic.queueEpoch,
    config: {
      retention_ms: topic.config.retentionMs,
      retention_bytes: topic.config.retentionBytes,
      durability: topic.config.durability,
      dedup_window_ms: topic.config.dedupWindowMs ?? DEFAULT_DEDUP_WINDOW_MS,
      order: 1 + ORDERS.indexOf(topic.config.order ?? 'normal'),
      writes: 1 + WRITES.indexOf(topic.config.writes ?? 'accepted'),
      disk_policy: 1 + DISK_POLICIES.indexOf(topic.config.diskPolicy ?? 'data'),
      compaction: compaction && compactionFields(compaction),
    },
    created_at_ms: topic.createdAtMs,
  };
}
