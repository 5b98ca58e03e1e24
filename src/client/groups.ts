import type { Calls } from './calls.ts';
import { int, list, optionalInt } from './convert.ts';
import {
  type ForkedOffset,
  type ForkGroup,
  forkedOffset,
  type GroupAtQuery,
  type GroupPast,
  groupAtOut,
  groupPast,
} from './group-past.ts';
import type { Proto, WireObject } from './proto.ts';
import { ServiceCalls } from './service-calls.ts';
import type { CallOptions } from './types.ts';

/** CLUSTER: each queue has one member. BROADCAST: every member has every queue. */
export type GroupMode = 'CLUSTER' | 'BROADCAST';

export interface GroupSummary {
  readonly group: string;
  readonly mode: GroupMode;
  readonly members: number;
  readonly topics: number;
  /** Which keeps it. */
  readonly shard: number;
}

export interface GroupDescription {
  readonly group: string;
  readonly mode: GroupMode;
  readonly generation: number;
  /** Raised by every reset of offsets. */
  readonly epoch: number;
  readonly shard: number;
  readonly members: readonly {
    readonly memberId: string;
    readonly instanceId: string;
    readonly clientName: string;
    readonly sessionMs: number;
    readonly topics: readonly string[];
  }[];
  /** In a broadcast group one per queue and member. */
  readonly queues: readonly {
    readonly topic: string;
    readonly queue: number;
    /** Empty: nobody. */
    readonly owner: string;
    /** Who gets it as soon as the owner has let go of it; empty: the owner keeps it. */
    readonly nextOwner: string;
    /** undefined = never committed. */
    readonly offset: number | undefined;
    readonly startOffset: number;
    readonly endOffset: number;
    readonly lag: number;
  }[];
  readonly totalLag: number;
}

/** What a member may read. */
export interface Assignment {
  readonly generation: number;
  readonly table: number;
  readonly epoch: number;
  readonly topics: readonly {
    readonly topic: string;
    readonly topicId: string;
    /** `offset` undefined = nothing was committed. */
    readonly queues: readonly { readonly queue: number; readonly offset: number | undefined }[];
    /** Not to be read any more, but it may still be committed. */
    readonly revoked: readonly number[];
  }[];
}

export interface MemberName {
  readonly group: string;
  readonly memberId: string;
  /** Of this process. */
  readonly instanceId: string;
}

export interface JoinGroup extends MemberName {
  readonly topics: readonly string[];
  readonly mode?: GroupMode | undefined;
  readonly clientName?: string | undefined;
  /** 6,000 to 1,800,000. Default 10,000. */
  readonly sessionMs?: number | undefined;
}

export interface Heartbeat extends MemberName {
  /** Of the assignment that the member acts on. */
  readonly generation: number;
  /** 0: answer with the assignment. */
  readonly table: number;
  /** Answer only when something changes, or after this. */
  readonly maxWaitMs: number;
}

/** Consumer groups. A consumer with `join` does the first three by itself. */
export class Groups {
  readonly #service: ServiceCalls;

  constructor(calls: Calls, proto: Proto) {
    this.#service = new ServiceCalls(calls, proto, 'Groups');
  }

  async join(
    join: JoinGroup,
    options?: CallOptions,
  ): Promise<{ sessionMs: number; assignment: Assignment }> {
    const { mode = 'CLUSTER', clientName = '', sessionMs = 0, topics } = join;
    const wish = { mode, client_name: clientName, session_ms: sessionMs, topics };
    const answer = await this.#service.call(
      'Join',
      { ...nameOut(join), ...wish },
      'idempotent',
      options,
    );
    return { sessionMs: int(answer.session_ms), assignment: assignmentIn(answer.assignment) };
  }

  /** undefined = nothing changed. Rejects with MEMBER_UNKNOWN when the session is over. */
  async heartbeat(beat: Heartbeat, options?: CallOptions): Promise<Assignment | undefined> {
    const { generation, table, maxWaitMs } = beat;
    const known = { generation: String(generation), table: String(table), max_wait_ms: maxWaitMs };
    const answer = await this.#service.call(
      'Heartbeat',
      { ...nameOut(beat), ...known },
      'read',
      options,
    );
    return answer.assignment === null ? undefined : assignmentIn(answer.assignment);
  }

  async leave(member: MemberName, options?: CallOptions): Promise<void> {
    await this.#service.call('Leave', nameOut(member), 'idempotent', options);
  }

  /** All groups, by name. */
  async list(options?: CallOptions): Promise<GroupSummary[]> {
    const groups: GroupSummary[] = [];
    for await (const page of this.#service.pages('List', {}, options)) {
      groups.push(...list(page.groups).map(summaryIn));
    }
    return groups;
  }

  async describe(group: string, options?: CallOptions): Promise<GroupDescription> {
    return descriptionIn(await this.#service.call('Describe', { group }, 'read', options));
  }

  /** With all that it committed. Only while it has no members. */
  async delete(group: string, options?: CallOptions): Promise<void> {
    await this.#service.call('Delete', { group }, 'once', options);
  }

  /** Where it stood at a time: `recordedAtMs` says of when each offset is. */
  async describeAt(query: GroupAtQuery, options?: CallOptions): Promise<GroupPast> {
    return groupPast(await this.#service.call('DescribeAt', groupAtOut(query), 'read', options));
  }

  /** Makes a group that begins where another one stood. Rejects with GROUP_EXISTS. */
  async fork(fork: ForkGroup, options?: CallOptions): Promise<ForkedOffset[]> {
    const request = { ...groupAtOut(fork), new_group: fork.newGroup };
    const answer = await this.#service.call('Fork', request, 'once', options);
    return list(answer.queues).map(forkedOffset);
  }
}

function nameOut({ group, memberId, instanceId }: MemberName): WireObject {
  return { group, member_id: memberId, instance_id: instanceId };
}

function assignmentIn(value: unknown): Assignment {
  const from = value as WireObject;
  return {
    generation: int(from.generation),
    table: int(from.table),
    epoch: int(from.epoch),
    topics: list(from.topics).map((topic) => ({
      topic: String(topic.topic),
      topicId: String(topic.topic_id),
      queues: list(topic.queues).map((queue) => ({
        queue: int(queue.queue),
        offset: optionalInt(queue, 'offset'),
      })),
      revoked: (topic.revoked as readonly number[]).map(Number),
    })),
  };
}

function summaryIn(from: WireObject): GroupSummary {
  return {
    group: String(from.group),
    mode: from.mode as GroupMode,
    members: int(from.members),
    topics: int(from.topics),
    shard: int(from.shard),
  };
}

function descriptionIn(from: WireObject): GroupDescription {
  const members = list(from.members).map((member) => ({
    memberId: String(member.member_id),
    instanceId: String(member.instance_id),
    clientName: String(member.client_name),
    sessionMs: int(member.session_ms),
    topics: (member.topics as readonly string[]).map(String),
  }));
  const queues = list(from.queues).map((queue) => ({
    topic: String(queue.topic),
    queue: int(queue.queue),
    owner: String(queue.owner),
    nextOwner: String(queue.next_owner),
    offset: optionalInt(queue, 'offset'),
    startOffset: int(queue.start_offset),
    endOffset: int(queue.end_offset),
    lag: int(queue.lag),
  }));
  return {
    group: String(from.group),
    mode: from.mode as GroupMode,
    generation: int(from.generation),
    epoch: int(from.epoch),
    shard: int(from.shard),
    ...{ members, queues },
    totalLag: int(from.total_lag),
  };
}
