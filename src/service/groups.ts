/** Groups: members of consumer groups, as clients call it; the shard of the group does the rest. */
import { randomUUID } from 'node:crypto';
import { encodeCommand } from '../broker/command-codec.ts';
import type { ApplyResult, Command } from '../broker/commands.ts';
import type { JoinedTopic } from '../broker/group-commands.ts';
import { isForeign } from '../broker/owner.ts';
import type { TopicQueue } from '../cluster/api.ts';
import {
  checkedId,
  checkedName,
  checkedNumber,
  int64,
  MAX_INT32,
  nameBeforePage,
  pageTokenAfter,
} from '../convert.ts';
import { DEMANDS } from '../security/permissions.ts';
import { CallError } from '../status.ts';
import { type Call, principalOf } from './call.ts';
import { ask, step } from './cold.ts';
import type { ExecutorParts } from './executor-parts.ts';
import type {
  GroupListQuestion,
  GroupMethods,
  GroupSummary,
  GroupViewAnswer,
  HeartbeatAnswer,
  HeartbeatQuestion,
} from './group-methods.ts';
import type { Proposed, QueueRange } from './internal-methods.ts';
import type { OffsetCalls } from './offsets.ts';
import { appliedError } from './produce.ts';
import { groupNotFound, memberUnknown } from './refusals.ts';

export const HEARTBEAT_PATH = '/holdfast.v1.Groups/Heartbeat';

const MODES = { cluster: 1, broadcast: 2 } as const;
const MAX_CLIENT_NAME_BYTES = 127;

interface MemberFields {
  readonly group: string;
  readonly member_id: string;
  readonly instance_id: string;
}
export interface JoinGroupRequest extends MemberFields {
  readonly client_name: string;
  readonly session_ms: number;
  readonly mode: number;
  readonly topics: readonly string[];
}
export interface HeartbeatRequest extends MemberFields {
  readonly generation: string;
  readonly table: string;
  readonly max_wait_ms: number;
}
export interface ListGroupsRequest {
  readonly page_size: number;
  readonly page_token: string;
}

interface ListedGroup extends Omit<GroupSummary, 'mode'> {
  readonly mode: number;
  readonly shard: number;
}

type ViewedTopic = GroupViewAnswer['topics'][number];

export class GroupCalls {
  readonly #parts: ExecutorParts;
  readonly #offsets: OffsetCalls;
  readonly #methods: GroupMethods;

  constructor(parts: ExecutorParts, offsets: OffsetCalls, methods: GroupMethods) {
    this.#parts = parts;
    this.#offsets = offsets;
    this.#methods = methods;
  }

  async join(call: Call, request: JoinGroupRequest): Promise<object> {
    checkMember(request);
    checkedId('client_name', request.client_name, MAX_CLIENT_NAME_BYTES);
    const mode = modeOf(request.mode);
    const sessionMs = this.#sessionMs(request.session_ms);
    const topics = await this.#topics(call, request.topics);
    const { group, instance_id: instanceId, client_name: clientName } = request;
    const isNamedHere = request.member_id === '';
    const memberId = isNamedHere ? `member-${randomUUID()}` : request.member_id;
    const who = { group, memberId, instanceId };
    const how = { clientName, sessionMs, mode, isNamedHere, topics, ...principalOf(call) } as const;
    await this.#propose(call, { type: 'joinGroup', ...who, ...how });
    const { assignment } = await this.#beat(call, { ...who, generation: 0, table: 0, waitMs: 0 });
    return { member_id: memberId, session_ms: sessionMs, assignment };
  }

  async heartbeat(call: Call, request: HeartbeatRequest): Promise<object> {
    checkNamedMember(request);
    const generation = int64('generation', request.generation);
    const table = int64('table', request.table);
    const { longPollMarginMs, maxWaitMs } = this.#parts.config;
    const asked = checkedNumber('max_wait_ms', request.max_wait_ms, MAX_INT32);
    const room = Math.max(0, call.remainingMs - longPollMarginMs);
    const waitMs = Math.min(asked, maxWaitMs, room);
    const { group, member_id: memberId, instance_id: instanceId } = request;
    return this.#beat(call, { group, memberId, instanceId, generation, table, waitMs });
  }

  async leave(call: Call, request: MemberFields): Promise<object> {
    checkNamedMember(request);
    const { group, member_id: memberId } = request;
    const view = await this.#view(call, group);
    const known = view?.members.find((member) => member.memberId === memberId);
    const isOwn = known !== undefined && !isForeign(known.principal, call.principal);
    if (!isOwn || known.instanceId !== request.instance_id) throw memberUnknown(group, memberId);
    const members = [{ memberId, joinedIn: known.joinedIn }];
    await this.#propose(call, { type: 'leaveGroup', group, members, reason: 'left' });
    return {};
  }

  async delete(call: Call, { group }: { readonly group: string }): Promise<object> {
    checkedName('group', group);
    await this.#propose(call, { type: 'deleteGroup', group });
    return {};
  }

  async list(call: Call, request: ListGroupsRequest): Promise<object> {
    const { defaultPageSize, maxPageSize } = this.#parts.config;
    const asked = checkedNumber('page_size', request.page_size, maxPageSize);
    const limit = asked || defaultPageSize;
    const after = nameBeforePage(request.page_token);
    const all = await this.#visible(call, { after, limit: limit + 1 });
    const groups = all.slice(0, limit);
    const last = all.length > limit ? groups.at(-1)!.group : '';
    return { groups, next_page_token: pageTokenAfter(last) };
  }

  /** Those that the caller may see; of the others not even their number. */
  async #visible(call: Call, { after, limit }: GroupListQuestion): Promise<ListedGroup[]> {
    const found: ListedGroup[] = [];
    for (let last = after; ; ) {
      const some = await this.#after(call, { after: last, limit });
      found.push(...some.filter(({ group }) => call.may(DEMANDS.readGroup, group)));
      if (some.length < limit || found.length >= limit) return found.slice(0, limit);
      last = some.at(-1)!.group;
    }
  }

  async #after(call: Call, question: GroupListQuestion): Promise<ListedGroup[]> {
    const { host, router } = this.#parts;
    const shards = host.shards().filter((shard) => shard !== 0);
    const found = await Promise.all(
      shards.map(async (shard) => {
        const part = await ask<GroupSummary[]>(router, call, this.#methods.list, shard, question);
        return part.map((group) => ({ ...group, mode: MODES[group.mode], shard }));
      }),
    );
    const all = found.flat().sort((a, b) => (a.group < b.group ? -1 : 1));
    return all.slice(0, question.limit);
  }

  async describe(call: Call, { group }: { readonly group: string }): Promise<object> {
    checkedName('group', group);
    const view = await this.#view(call, group);
    if (view === null) throw groupNotFound(group);
    // Names and queues as they are now: the group may know of a topic that this node does not.
    await step((done) => this.#parts.topics.catchUp(call, (error) => done(error, undefined)));
    const queues = await this.#queues(call, view);
    return {
      group,
      mode: MODES[view.mode],
      generation: view.generation,
      epoch: view.epoch,
      shard: this.#parts.host.meta().shardOfGroup(group),
      members: view.members.map((member) => memberFields(member, view.topics)),
      queues,
      total_lag: queues.reduce((sum, { lag }) => sum + lag, 0),
    };
  }

  async #queues(call: Call, view: GroupViewAnswer): Promise<Standing[]> {
    const lists = await Promise.all(
      view.offsets.map(async ({ topicId, memberId, offsets }) => {
        const topic = this.#parts.host.meta().topicById(topicId);
        if (topic === undefined) return [];
        const ranges = await this.#offsets.ranges(call, topic.queues, undefined);
        const committed = new Map(offsets.map(({ queue, offset }) => [queue, offset]));
        const shares = view.topics.find((one) => one.topicId === topicId)?.queues ?? [];
        return topic.queues.map((queue, at) => ({
          topic: topic.name,
          topic_id: topicId,
          ...ownersOf(queue, shares, memberId),
          ...standing(committed.get(queue.queue), ranges[at]!),
        }));
      }),
    );
    return lists.flat();
  }

  async #topics(call: Call, names: readonly string[]): Promise<JoinedTopic[]> {
    const { maxTopicsPerMember } = this.#parts.config;
    if (names.length === 0 || names.length > maxTopicsPerMember) {
      throw new CallError(
        'INVALID_REQUEST',
        `${names.length} topics: a member reads 1 to ${maxTopicsPerMember} (maxTopicsPerMember)`,
      );
    }
    if (new Set(names).size < names.length) {
      throw new CallError('INVALID_REQUEST', 'a topic is named twice');
    }
    const found: JoinedTopic[] = [];
    for (const name of names) {
      const topic = await this.#offsets.topic(call, { topic: name, topic_id: '' }, []);
      found.push({ topicId: topic.topicId, name, queueCount: topic.queues.length });
    }
    return found;
  }

  #view(call: Call, group: string): Promise<GroupViewAnswer | null> {
    const { host, router } = this.#parts;
    const shard = host.meta().shardOfGroup(group);
    return ask<GroupViewAnswer | null>(router, call, this.#methods.view, shard, { group });
  }

  #beat(call: Call, question: HeartbeatQuestion): Promise<HeartbeatAnswer> {
    const { host, router } = this.#parts;
    const shard = host.meta().shardOfGroup(question.group);
    return ask<HeartbeatAnswer>(router, call, this.#methods.heartbeat, shard, question);
  }

  async #propose(call: Call, command: Command & { readonly group: string }): Promise<void> {
    const { host, methods, router } = this.#parts;
    const shard = host.meta().shardOfGroup(command.group);
    const head = encodeCommand(command);
    const { result } = await ask<Proposed>(router, call, methods.propose, shard, head);
    const outcome = result as ApplyResult;
    if (outcome.type === 'refused') throw appliedError(outcome);
  }

  #sessionMs(asked: number): number {
    const { defaultSessionMs, maxSessionMs, minSessionMs } = this.#parts.config;
    if (asked === 0) return defaultSessionMs;
    if (asked >= minSessionMs && asked <= maxSessionMs) return asked;
    throw new CallError(
      'NUMBER_OUT_OF_RANGE',
      `session_ms is ${asked}: it must lie between ${minSessionMs} and ${maxSessionMs}`,
    );
  }
}

function checkMember({ group, member_id: memberId, instance_id: instanceId }: MemberFields): void {
  checkedName('group', group);
  checkedId('member_id', memberId);
  checkedId('instance_id', instanceId);
}

function checkNamedMember(member: MemberFields): void {
  checkMember(member);
  if (member.member_id !== '') return;
  throw new CallError('INVALID_REQUEST', 'member_id is empty: give the one that Join answered');
}

function modeOf(mode: number): 'cluster' | 'broadcast' {
  if (mode === 0 || mode === MODES.cluster) return 'cluster';
  if (mode === MODES.broadcast) return 'broadcast';
  throw new CallError('INVALID_REQUEST', `mode ${mode} does not exist: CLUSTER or BROADCAST`);
}

function memberFields(
  { memberId, instanceId, clientName, sessionMs, topicIds }: GroupViewAnswer['members'][number],
  topics: readonly ViewedTopic[],
): object {
  return {
    member_id: memberId,
    instance_id: instanceId,
    client_name: clientName,
    session_ms: sessionMs,
    topics: topicIds.map((id) => topics.find(({ topicId }) => topicId === id)?.name ?? id),
  };
}

/** `memberId` is set in a broadcast group: everybody owns everything. */
function ownersOf({ queue }: TopicQueue, shares: ViewedTopic['queues'], memberId: string): object {
  if (memberId !== '') return { queue, owner: memberId };
  const { owner = '', next = '' } = shares[queue] ?? {};
  return { queue, owner, next_owner: next === owner ? '' : next };
}

interface Standing {
  readonly offset?: number;
  readonly start_offset: number;
  readonly end_offset: number;
  readonly lag: number;
}

function standing(offset: number | undefined, { start, end }: QueueRange): Standing {
  const lag = Math.max(0, end - Math.max(offset ?? start, start));
  const committed = offset === undefined ? {} : { offset };
  return { ...committed, start_offset: start, end_offset: end, lag };
}
