/**
 * ListOffsets, CommitOffset, GetOffset, ResetOffsets. A group's offsets live in the shard that its
 * name hashes to, the queues in theirs: each answer is put together on the node that was asked,
 * from leaders that proved that they lead.
 */
import { encodeCommand } from '../broker/command-codec.ts';
import type { ApplyResult, Command, QueueOffsetEntry } from '../broker/commands.ts';
import type { GroupMemberRef } from '../broker/group-commands.ts';
import type { TopicQueue, TopicView } from '../cluster/api.ts';
import { checkedId, checkedName, checkedNumber, int64, MAX_INT32 } from '../convert.ts';
import { CallError } from '../status.ts';
import { type Call, principalOf } from './call.ts';
import { ask, step } from './cold.ts';
import type { ExecutorParts } from './executor-parts.ts';
import type {
  GroupAnswer,
  GroupQuestion,
  Proposed,
  QueueRange,
  QueuesQuestion,
} from './internal-methods.ts';
import { appliedError } from './produce.ts';
import { groupNotFound } from './refusals.ts';

const EARLIEST = 1;
const LATEST = 2;

interface TopicFields {
  readonly topic: string;
  readonly topic_id: string;
}
interface QueueOffsetField {
  readonly queue: number;
  readonly offset: string;
}
export interface ListOffsetsRequest extends TopicFields {
  readonly queues: readonly number[];
  readonly at_ms?: string;
}
export interface CommitOffsetRequest extends TopicFields {
  readonly group: string;
  readonly offsets: readonly QueueOffsetField[];
  readonly generation: string;
  readonly member_id: string;
}
export interface GetOffsetRequest extends TopicFields {
  readonly group: string;
  readonly queues: readonly number[];
  readonly member_id?: string;
}
export interface ResetOffsetsRequest extends TopicFields {
  readonly group: string;
  readonly queues: readonly number[];
  readonly to?: 'from' | 'at_ms' | 'offsets';
  readonly from?: number;
  readonly at_ms?: string;
  readonly offsets?: { readonly offsets: readonly QueueOffsetField[] };
}

export class OffsetCalls {
  readonly #parts: ExecutorParts;

  constructor(parts: ExecutorParts) {
    this.#parts = parts;
  }

  async listOffsets(call: Call, request: ListOffsetsRequest): Promise<object> {
    const atMs = request.at_ms === undefined ? undefined : int64('at_ms', request.at_ms);
    const topic = await this.topic(call, request, request.queues);
    const queues = chosen(topic, request.queues);
    const ranges = await this.ranges(call, queues, atMs);
    return {
      queues: queues.map((queue, at) => {
        const { start, end, atTime } = ranges[at]!;
        const found = atMs === undefined ? {} : { offset_at_time: atTime };
        return { queue: queue.queue, start_offset: start, end_offset: end, ...found };
      }),
    };
  }

  async commitOffset(call: Call, request: CommitOffsetRequest): Promise<object> {
    checkedName('group', request.group);
    const offsets = this.#offsets(request.offsets);
    const member = committer(call, request);
    const topic = await this.topic(call, request, numbers(offsets));
    await this.checkPastEnd(call, topic, offsets);
    const { topicId } = topic;
    const { group } = request;
    const commit = { type: 'commitOffsets', group, topicId, offsets, ...member } as const;
    const proposed = await this.#propose(call, commit);
    return { term: proposed.term, log_index: proposed.index };
  }

  async getOffset(call: Call, request: GetOffsetRequest): Promise<object> {
    checkedName('group', request.group);
    const memberId = checkedId('member_id', request.member_id ?? '');
    const topic = await this.topic(call, request, request.queues);
    const queues = chosen(topic, request.queues);
    const group = await this.group(call, request.group, topic.topicId, memberId);
    if (group.epoch === null) throw groupNotFound(request.group);
    const ranges = await this.ranges(call, queues, undefined);
    const committed = new Map(group.offsets.map((entry) => [entry.queue, entry.offset]));
    return {
      epoch: group.epoch,
      queues: queues.map(({ queue }, at) => {
        const { start, end } = ranges[at]!;
        const offset = committed.get(queue);
        return {
          queue,
          ...(offset === undefined ? {} : { offset }),
          start_offset: start,
          end_offset: end,
          lag: Math.max(0, end - Math.max(offset ?? start, start)),
        };
      }),
    };
  }

  async resetOffsets(call: Call, request: ResetOffsetsRequest): Promise<object> {
    checkedName('group', request.group);
    const explicit = request.to === 'offsets' ? (request.offsets?.offsets ?? []) : undefined;
    if (explicit !== undefined && request.queues.length > 0) {
      throw new CallError('INVALID_REQUEST', 'give `queues` or `offsets`, not both');
    }
    const given = explicit === undefined ? undefined : this.#offsets(explicit);
    const atMs = request.to === 'at_ms' ? int64('at_ms', request.at_ms) : undefined;
    checkTo(request);
    const topic = await this.topic(call, request, given ? numbers(given) : request.queues);
    const group = await this.group(call, request.group, topic.topicId);
    if (group.epoch === null) throw groupNotFound(request.group);
    if (given !== undefined) await this.checkPastEnd(call, topic, given);
    const offsets = given ?? (await this.#moved(call, topic, request, atMs));
    const { topicId } = topic;
    const reset = { type: 'resetOffsets', group: request.group, topicId, offsets } as const;
    const proposed = await this.#propose(call, reset);
    const result = proposed.result as Extract<ApplyResult, { type: 'offsets' }>;
    return { offsets, epoch: result.epoch };
  }

  /** The topic of a request, with all the queues that it names. */
  topic(call: Call, request: TopicFields, queues: readonly number[]): Promise<TopicView> {
    const { maxQueuesPerCall } = this.#parts.config;
    if (queues.length > maxQueuesPerCall) {
      throw new CallError(
        'INVALID_REQUEST',
        `${queues.length} queues in one call: at most ${maxQueuesPerCall} (maxQueuesPerCall)`,
      );
    }
    let highest = -1;
    for (const queue of queues) {
      highest = Math.max(highest, checkedNumber('queue', queue, MAX_INT32));
    }
    const wanted = { topic: request.topic, topicId: request.topic_id };
    return step((done) =>
      this.#parts.topics.find(call, { ...wanted, queue: highest, queueEpoch: -1 }, done),
    );
  }

  group(call: Call, group: string, topicId: string, memberId = ''): Promise<GroupAnswer> {
    const shard = this.#parts.host.meta().shardOfGroup(group);
    const question: GroupQuestion = { group, topicId, memberId };
    return ask(this.#parts.router, call, this.#parts.methods.group, shard, question);
  }

  /** Ranges of queues, in their order, one question per shard. */
  async ranges(
    call: Call,
    queues: readonly TopicQueue[],
    atMs: number | undefined,
  ): Promise<QueueRange[]> {
    const byShard = groupedByShard(queues);
    const ranges = new Map<number, QueueRange>();
    await Promise.all(
      [...byShard].map(async ([shard, members]) => {
        const queueIds = members.map((queue) => queue.queueId);
        const question: QueuesQuestion = atMs === undefined ? { queueIds } : { queueIds, atMs };
        const method = this.#parts.methods.queues;
        const found = await ask<QueueRange[]>(this.#parts.router, call, method, shard, question);
        for (const [at, queue] of members.entries()) ranges.set(queue.queueId, found[at]!);
      }),
    );
    return queues.map((queue) => ranges.get(queue.queueId)!);
  }

  async #moved(
    call: Call,
    topic: TopicView,
    request: ResetOffsetsRequest,
    atMs: number | undefined,
  ): Promise<QueueOffsetEntry[]> {
    const queues = chosen(topic, request.queues);
    const ranges = await this.ranges(call, queues, atMs);
    return queues.map(({ queue }, at) => {
      const { start, end, atTime } = ranges[at]!;
      if (atMs !== undefined) return { queue, offset: atTime };
      return { queue, offset: request.from === EARLIEST ? start : end };
    });
  }

  /** Refuses offsets that no message can have been read up to. */
  async checkPastEnd(
    call: Call,
    topic: TopicView,
    offsets: readonly QueueOffsetEntry[],
  ): Promise<void> {
    const queues = offsets.map((entry) => topic.queues[entry.queue]!);
    const ranges = await this.ranges(call, queues, undefined);
    offsets.forEach(({ queue, offset }, at) => {
      const { end } = ranges[at]!;
      if (offset <= end) return;
      throw new CallError(
        'OFFSET_PAST_END',
        `queue ${queue}: offset ${offset} is past the end: end_offset is ${end}`,
        { metadata: { queue: String(queue), 'end-offset': String(end) } },
      );
    });
  }

  async #propose(
    call: Call,
    command: Extract<Command, { type: 'commitOffsets' | 'resetOffsets' }>,
  ): Promise<Proposed> {
    const shard = this.#parts.host.meta().shardOfGroup(command.group);
    const head = encodeCommand(command);
    const method = this.#parts.methods.propose;
    const proposed = await ask<Proposed>(this.#parts.router, call, method, shard, head);
    const result = proposed.result as ApplyResult;
    if (result.type === 'refused') throw appliedError(result);
    return proposed;
  }

  #offsets(fields: readonly QueueOffsetField[]): QueueOffsetEntry[] {
    if (fields.length === 0) {
      throw new CallError('INVALID_REQUEST', 'no offsets given: name at least one queue');
    }
    const offsets = fields.map((field) => ({
      queue: checkedNumber('queue', field.queue, MAX_INT32),
      offset: int64('offset', field.offset),
    }));
    if (new Set(offsets.map((entry) => entry.queue)).size < offsets.length) {
      throw new CallError('INVALID_REQUEST', 'a queue is named twice');
    }
    return offsets;
  }
}

/** Who commits: a member with its generation, or nobody in particular. */
function committer(call: Call, request: CommitOffsetRequest): { readonly member?: GroupMemberRef } {
  const generation = int64('generation', request.generation);
  const memberId = checkedId('member_id', request.member_id ?? '');
  if (memberId === '' && generation === 0) return {};
  if (memberId !== '' && generation > 0)
    return { member: { memberId, generation, ...principalOf(call) } };
  throw new CallError(
    'INVALID_REQUEST',
    'generation and member_id belong together: a member gives both, anybody else none',
  );
}

function checkTo(request: ResetOffsetsRequest): void {
  if (request.to === undefined) {
    throw new CallError('INVALID_REQUEST', 'say where to: from, at_ms or offsets');
  }
  if (request.to === 'from' && request.from !== EARLIEST && request.from !== LATEST) {
    throw new CallError('INVALID_REQUEST', '`from` must be EARLIEST or LATEST');
  }
}

function numbers(offsets: readonly QueueOffsetEntry[]): number[] {
  return offsets.map((entry) => entry.queue);
}

/** The queues named, or all of them. */
function chosen(topic: TopicView, queues: readonly number[]): readonly TopicQueue[] {
  return queues.length === 0 ? topic.queues : queues.map((queue) => topic.queues[queue]!);
}

function groupedByShard(queues: readonly TopicQueue[]): Map<number, TopicQueue[]> {
  const groups = new Map<number, TopicQueue[]>();
  for (const queue of queues) {
    const members = groups.get(queue.shard);
    if (members === undefined) groups.set(queue.shard, [queue]);
    else members.push(queue);
  }
  return groups;
}
