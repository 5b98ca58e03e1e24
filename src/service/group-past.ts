/**
 * DescribeAt and Fork: where a group stood at a time, and a new group that begins there. The shard
 * of the group knows the offsets, those of the queues where a queue ended then.
 */
import { encodeCommand } from '../broker/command-codec.ts';
import type { ApplyResult } from '../broker/commands.ts';
import { OFFSET_HISTORY_LEVEL } from '../broker/feature-level.ts';
import type { ForkedTopic } from '../broker/group-commands.ts';
import { offsetsName } from '../broker/group-shares.ts';
import type { OffsetRecord } from '../broker/offset-history.ts';
import type { TopicView } from '../cluster/api.ts';
import { checkedId, checkedName, int64 } from '../convert.ts';
import type { ShardHost } from '../shards/api.ts';
import { CallError } from '../status.ts';
import type { Call } from './call.ts';
import { ask, step } from './cold.ts';
import type { ExecutorParts } from './executor-parts.ts';
import {
  afterRound,
  decodeJson,
  encodeJson,
  type Proposed,
  type QueueRange,
} from './internal-methods.ts';
import type { ShardMethod } from './methods.ts';
import type { OffsetCalls } from './offsets.ts';
import { appliedError } from './produce.ts';
import { groupNotFound } from './refusals.ts';

export interface GroupAtRequest {
  readonly group: string;
  readonly at_ms: string;
  readonly topic: string;
  readonly member_id: string;
}
export interface ForkGroupRequest extends GroupAtRequest {
  readonly new_group: string;
}

interface PastQuestion {
  readonly group: string;
  readonly atMs: number;
  /** Whose, in a broadcast group; '' = the group's. */
  readonly memberId: string;
}
/** null = the group does not exist. */
type PastAnswer = readonly PastTopic[] | null;
interface PastTopic {
  readonly topicId: string;
  readonly queues: readonly {
    readonly queue: number;
    readonly knownSinceMs: number;
    readonly stood?: OffsetRecord;
  }[];
}

/** A queue in which the group has committed by now. */
interface PastQueue {
  readonly topic: TopicView;
  readonly queue: number;
  readonly knownSinceMs: number;
  readonly stood: OffsetRecord | undefined;
  readonly range: QueueRange;
}

/** PastQuestion → PastAnswer. */
function createPastMethod(host: ShardHost): ShardMethod {
  return {
    name: '.group/past',
    kind: 'read',
    perform: (_call, target, body, _parsed, done) =>
      afterRound(host, target, done, () => {
        const { atMs, group, memberId } = decodeJson<PastQuestion>(body);
        const data = host.data(target.shard);
        const mode = data.membership(group)?.mode ?? 'cluster';
        const name = memberId === '' ? group : offsetsName(group, mode, memberId);
        const topics = data.groupTopicIds(name).map((topicId) => {
          return { topicId, queues: data.groupOffsetsAt(name, topicId, atMs) };
        });
        const isThere = data.groupEpoch(group) !== undefined;
        done(undefined, encodeJson(isThere ? topics : null));
      }),
  };
}

export class GroupPast {
  readonly method: ShardMethod;
  readonly #parts: ExecutorParts;
  readonly #offsets: OffsetCalls;

  constructor(parts: ExecutorParts, offsets: OffsetCalls) {
    this.method = createPastMethod(parts.host);
    this.#parts = parts;
    this.#offsets = offsets;
  }

  async describeAt(call: Call, request: GroupAtRequest): Promise<object> {
    const { atMs, queues } = await this.#past(call, request);
    const fields = queues.map((one) => pastFields(one));
    const totalLag = fields.reduce((sum, { lag }) => sum + lag, 0);
    return { group: request.group, at_ms: atMs, queues: fields, total_lag: totalLag };
  }

  async fork(call: Call, request: ForkGroupRequest): Promise<object> {
    const newGroup = checkedName('new_group', request.new_group);
    this.#checkLevel();
    const { queues } = await this.#past(call, request);
    const known = queues.flatMap((one) => (one.stood === undefined ? [] : [begin(one, one.stood)]));
    if (known.length === 0) {
      throw new CallError(
        'GROUP_NOT_FOUND',
        `it is not known that group ${request.group} stood anywhere then: see DescribeAt`,
      );
    }
    const topics = new Map<string, ForkedTopic['offsets'][number][]>();
    for (const { offset, queue, topic } of known) {
      const offsets = topics.get(topic.topicId) ?? [];
      topics.set(topic.topicId, [...offsets, { queue, offset }]);
    }
    const forked = Array.from(topics, ([topicId, offsets]) => ({ topicId, offsets }));
    await this.#propose(call, newGroup, forked);
    return {
      queues: known.map(({ offset, queue, stood, topic }) => ({
        ...{ topic: topic.name, topic_id: topic.topicId, queue, offset },
        ...{ recorded_offset: stood.offset, recorded_at_ms: stood.atMs },
      })),
    };
  }

  async #past(
    call: Call,
    request: GroupAtRequest,
  ): Promise<{ readonly atMs: number; readonly queues: readonly PastQueue[] }> {
    const group = checkedName('group', request.group);
    const memberId = checkedId('member_id', request.member_id);
    const atMs = int64('at_ms', request.at_ms);
    if (atMs === 0) throw new CallError('INVALID_REQUEST', 'at_ms: say at which time');
    const { host, router } = this.#parts;
    const only = request.topic === '' ? undefined : await this.#topic(call, request.topic);
    const shard = host.meta().shardOfGroup(group);
    const question: PastQuestion = { group, atMs, memberId };
    const past = await ask<PastAnswer>(router, call, this.method, shard, question);
    if (past === null) throw groupNotFound(group);
    // Names and queues as they are now: the group may know of a topic that this node does not.
    await step((done) => this.#parts.topics.catchUp(call, (error) => done(error, undefined)));
    const wanted = past.filter(({ topicId }) => only === undefined || topicId === only.topicId);
    const queues = await Promise.all(wanted.map((one) => this.#queues(call, one, atMs)));
    return { atMs, queues: queues.flat() };
  }

  /** Nodes of an earlier build cannot read the command. */
  #checkLevel(): void {
    const level = this.#parts.host.meta().featureLevel();
    if (level >= OFFSET_HISTORY_LEVEL) return;
    throw new CallError(
      'NOT_YET',
      `the cluster is at feature level ${level}: groups can be forked from ` +
        `${OFFSET_HISTORY_LEVEL} on (holdfast cluster upgrade)`,
    );
  }

  #topic(call: Call, name: string): Promise<TopicView> {
    return this.#offsets.topic(call, { topic: name, topic_id: '' }, []);
  }

  async #queues(call: Call, past: PastTopic, atMs: number): Promise<PastQueue[]> {
    const topic = this.#parts.host.meta().topicById(past.topicId);
    if (topic === undefined) return [];
    const known = past.queues.filter(({ queue }) => queue < topic.queues.length);
    const asked = known.map(({ queue }) => topic.queues[queue]!);
    const ranges = await this.#offsets.ranges(call, asked, atMs);
    return known.map(({ queue, knownSinceMs, stood }, at) => {
      return { topic, queue, knownSinceMs, stood, range: ranges[at]! };
    });
  }

  async #propose(call: Call, group: string, topics: readonly ForkedTopic[]): Promise<void> {
    const { host, methods, router } = this.#parts;
    const shard = host.meta().shardOfGroup(group);
    const head = encodeCommand({ type: 'forkGroup', group, topics });
    const { result } = await ask<Proposed>(router, call, methods.propose, shard, head);
    const outcome = result as ApplyResult;
    if (outcome.type === 'refused') throw appliedError(outcome);
  }
}

/** Retention may have taken messages since: reading begins at what is left. */
function begin(
  { queue, range, topic }: PastQueue,
  stood: OffsetRecord,
): { topic: TopicView; queue: number; offset: number; stood: OffsetRecord } {
  return { topic, queue, stood, offset: Math.max(stood.offset, range.start) };
}

function pastFields({ knownSinceMs, queue, range, stood, topic }: PastQueue) {
  const { atTime, start } = range;
  const committed = stood && { offset: stood.offset, recorded_at_ms: stood.atMs };
  return {
    ...{ topic: topic.name, topic_id: topic.topicId, queue, known_since_ms: knownSinceMs },
    ...committed,
    ...{ start_offset: start, end_offset: atTime },
    lag: Math.max(0, atTime - Math.max(stood?.offset ?? start, start)),
  };
}
