/**
 * What the leader of a group's shard does for its members: heartbeats, which wait for a change
 * where they are asked to, and views of groups. Short JSON in and out.
 */
import { EMPTY_BYTES, type ShardId } from '../../raft/types.ts';
import type { DataShard, MembershipView } from '../broker/api.ts';
import { encodeCommand } from '../broker/command-codec.ts';
import type { GroupMode } from '../broker/group-commands.ts';
import { offsetsName, owesQueues } from '../broker/group-shares.ts';
import { isForeign } from '../broker/owner.ts';
import { notLeader } from '../router.ts';
import type { ShardHost } from '../shards/api.ts';
import { CallError } from '../status.ts';
import type { Call, Done } from './call.ts';
import type { DeadlineClock, Deadlines, Expiring } from './deadlines.ts';
import type { GroupSessions } from './group-sessions.ts';
import { afterRound, decodeJson, encodeJson } from './internal-methods.ts';
import type { ShardMethod, Target } from './methods.ts';
import { memberUnknown, proposalError } from './refusals.ts';

/** A member may be told to wait for so much of its session: two more heartbeats fit into it. */
const WAIT_SHARE = 1 / 3;

export interface HeartbeatQuestion {
  readonly group: string;
  readonly memberId: string;
  readonly instanceId: string;
  readonly generation: number;
  readonly table: number;
  readonly waitMs: number;
}

/** As in groups.proto, with topics by id. */
export interface AssignmentAnswer {
  readonly generation: number;
  readonly table: number;
  readonly epoch: number;
  readonly topics: readonly {
    readonly topic: string;
    readonly topic_id: string;
    readonly queues: readonly { readonly queue: number; readonly offset?: number }[];
    readonly revoked: readonly number[];
  }[];
}
export interface HeartbeatAnswer {
  readonly generation: number;
  readonly assignment?: AssignmentAnswer;
}

export interface GroupListQuestion {
  readonly after: string;
  readonly limit: number;
}
export interface GroupSummary {
  readonly group: string;
  readonly mode: GroupMode;
  readonly members: number;
  readonly topics: number;
}

export interface GroupViewAnswer {
  readonly mode: GroupMode;
  readonly generation: number;
  readonly epoch: number;
  readonly members: readonly {
    readonly memberId: string;
    readonly instanceId: string;
    readonly joinedIn: number;
    readonly clientName: string;
    readonly principal: string;
    readonly sessionMs: number;
    readonly topicIds: readonly string[];
  }[];
  readonly topics: readonly {
    readonly topicId: string;
    readonly name: string;
    readonly queues: readonly { readonly owner?: string; readonly next?: string }[];
  }[];
  /** By topic: what was committed, by whom in a broadcast group. */
  readonly offsets: readonly {
    readonly topicId: string;
    readonly memberId: string;
    readonly offsets: readonly { readonly queue: number; readonly offset: number }[];
  }[];
}

interface Wait extends Expiring {
  readonly shard: ShardId;
  look(): void;
  refuse(error: CallError): void;
}

export class GroupMethods {
  readonly heartbeat: ShardMethod;
  readonly list: ShardMethod;
  readonly view: ShardMethod;
  readonly #host: ShardHost;
  readonly #sessions: GroupSessions;
  readonly #clock: DeadlineClock;
  readonly #deadlines: Deadlines;
  readonly #maxWaits: number;
  readonly #waits = new Set<Wait>();
  /** What a shard's groups looked like when its waits last looked. */
  readonly #seen = new Map<ShardId, number>();
  readonly #unsubscribe: readonly (() => void)[];

  constructor(
    host: ShardHost,
    sessions: GroupSessions,
    timers: { readonly clock: DeadlineClock; readonly deadlines: Deadlines },
    maxWaits: number,
  ) {
    this.#host = host;
    this.#sessions = sessions;
    this.#clock = timers.clock;
    this.#deadlines = timers.deadlines;
    this.#maxWaits = maxWaits;
    this.#unsubscribe = [
      host.onApplied((shard) => this.#applied(shard)),
      host.onLeadership((shard) => this.#ledOrNot(shard)),
    ];
    // A heartbeat may be asked again, and a later one says what an earlier one said.
    this.heartbeat = {
      name: '.group/heartbeat',
      kind: 'read',
      perform: (call, target, body, _parsed, done) =>
        this.#heartbeat(call, target, decodeJson(body), done),
    };
    this.list = {
      name: '.group/list',
      kind: 'read',
      perform: (_call, target, body, _parsed, done) =>
        afterRound(host, target, done, () => {
          const { after, limit } = decodeJson<GroupListQuestion>(body);
          done(undefined, encodeJson(summaries(host.data(target.shard), after, limit)));
        }),
    };
    this.view = {
      name: '.group/view',
      kind: 'read',
      perform: (_call, target, body, _parsed, done) =>
        afterRound(host, target, done, () => {
          const { group } = decodeJson<{ group: string }>(body);
          done(undefined, encodeJson(viewOf(host.data(target.shard), group) ?? null));
        }),
    };
  }

  get waiting(): number {
    return this.#waits.size;
  }

  close(): void {
    for (const unsubscribe of this.#unsubscribe) unsubscribe();
    this.#waits.clear();
  }

  #heartbeat(call: Call, target: Target, question: HeartbeatQuestion, done: Done): void {
    const { shard } = target;
    const { group, memberId } = question;
    const known = this.#host.data(shard).membership(group)?.members.get(memberId);
    // Not even its session may be kept alive by somebody else.
    if (known !== undefined && isForeign(known.principal, call.principal)) {
      done(memberUnknown(group, memberId), undefined);
      return;
    }
    this.#sessions.heard(shard, group, memberId);
    afterRound(this.#host, target, done, () => {
      this.#sessions.whenSure(shard, group, memberId, () => {
        if (call.finished) return;
        if (!this.#host.isReady(shard)) {
          done(notLeader(shard, this.#host.leaderOf(shard)), undefined);
          return;
        }
        this.#acknowledge(shard, question, done, () => this.#answer(call, shard, question, done));
      });
    });
  }

  /** The member acts on `generation`: what it lost by then may go to others. */
  #acknowledge(shard: ShardId, question: HeartbeatQuestion, done: Done, then: () => void): void {
    const { group, memberId, generation } = question;
    const state = this.#member(shard, question);
    if (state === undefined) {
      done(memberUnknown(group, memberId), undefined);
      return;
    }
    if (!owesQueues(state, memberId, generation)) {
      then();
      return;
    }
    const head = encodeCommand({ type: 'acknowledgeGroup', group, memberId, generation });
    this.#host.propose(shard, head, EMPTY_BYTES, 'majorityFsync', (outcome) => {
      if (outcome.status === 'applied') then();
      else if (outcome.status === 'written') done(notLeader(shard, undefined), undefined);
      else done(proposalError(outcome, shard), undefined);
    });
  }

  #answer(call: Call, shard: ShardId, question: HeartbeatQuestion, done: Done): void {
    if (call.finished || this.#tell(shard, question, done, question.waitMs === 0)) return;
    if (this.#waits.size >= this.#maxWaits) {
      done(
        new CallError('NODE_BUSY', 'too many calls wait on this node: try again later'),
        undefined,
      );
      return;
    }
    const session = this.#member(shard, question)!.members.get(question.memberId)!.sessionMs;
    const atMs = this.#clock.nowMs() + Math.min(question.waitMs, session * WAIT_SHARE);
    const end = () => {
      this.#waits.delete(wait);
      this.#deadlines.remove(atMs, wait);
      call.abort = undefined;
    };
    const told: Done = (error, answer) => {
      end();
      done(error, answer);
    };
    const wait: Wait = {
      shard,
      look: () => this.#tell(shard, question, told, false),
      refuse: (error) => told(error, undefined),
      expire: () => this.#tell(shard, question, told, true),
    };
    this.#waits.add(wait);
    this.#deadlines.add(atMs, wait);
    call.abort = end;
  }

  /** False: nothing changed, and it may wait. */
  #tell(shard: ShardId, question: HeartbeatQuestion, done: Done, isLast: boolean): boolean {
    const { group, memberId, table } = question;
    const state = this.#member(shard, question);
    if (state === undefined) {
      done(memberUnknown(group, memberId), undefined);
      return true;
    }
    const { generation } = state;
    if (state.table === table && !isLast) return false;
    const changed =
      state.table === table
        ? {}
        : { assignment: assignmentOf(this.#host.data(shard), state, memberId) };
    done(undefined, encodeJson({ generation, ...changed } satisfies HeartbeatAnswer));
    return true;
  }

  /** The group, if the member is one of its present life. */
  #member(
    shard: ShardId,
    { group, memberId, instanceId }: HeartbeatQuestion,
  ): MembershipView | undefined {
    const state = this.#host.data(shard).membership(group);
    return state?.members.get(memberId)?.instanceId === instanceId ? state : undefined;
  }

  #applied(shard: ShardId): void {
    if (this.#waits.size === 0 || !this.#host.isReady(shard) || shard === 0) return;
    const changes = this.#host.data(shard).membershipChanges();
    if (this.#seen.get(shard) === changes) return;
    this.#seen.set(shard, changes);
    for (const wait of [...this.#waits]) if (wait.shard === shard) wait.look();
  }

  #ledOrNot(shard: ShardId): void {
    if (this.#host.isReady(shard)) return;
    const error = notLeader(shard, this.#host.leaderOf(shard));
    for (const wait of [...this.#waits]) if (wait.shard === shard) wait.refuse(error);
  }
}

function assignmentOf(data: DataShard, state: MembershipView, memberId: string): AssignmentAnswer {
  const { generation, table, group, mode } = state;
  const name = offsetsName(group, mode, memberId);
  const wanted = state.members.get(memberId)!.topicIds;
  const topics = [...state.topics.values()].flatMap((topic) => {
    const { topicId } = topic;
    const own = topic.queues.map((share, queue) => ({ queue, ...share }));
    const isRead = (one: (typeof own)[number]) => one.owner === memberId && one.next === memberId;
    const isBroadcast = mode === 'broadcast';
    const read = isBroadcast ? own : own.filter(isRead);
    const lost = own.filter((one) => one.owner === memberId && one.next !== memberId);
    if (!wanted.includes(topicId) && lost.length === 0) return [];
    const committed = new Map(data.groupOffsets(name, topicId).map((at) => [at.queue, at.offset]));
    const queues = read.map(({ queue }) => {
      const offset = committed.get(queue);
      return offset === undefined ? { queue } : { queue, offset };
    });
    const revoked = isBroadcast ? [] : lost.map(({ queue }) => queue);
    return [{ topic: topic.name, topic_id: topicId, queues, revoked }];
  });
  return { generation, table, epoch: data.groupEpoch(group) ?? 0, topics };
}

function summaries(data: DataShard, after: string, limit: number): GroupSummary[] {
  return data.groupNames(after, limit).map((group) => {
    const state = data.membership(group);
    return {
      group,
      mode: state?.mode ?? 'cluster',
      members: state?.members.size ?? 0,
      topics: topicIdsOf(data, group, state).length,
    };
  });
}

function viewOf(data: DataShard, group: string): GroupViewAnswer | undefined {
  const epoch = data.groupEpoch(group);
  if (epoch === undefined) return undefined;
  const state = data.membership(group);
  const mode = state?.mode ?? 'cluster';
  const names = [...(state?.members.keys() ?? [])].sort();
  const readers = mode === 'broadcast' && names.length > 0 ? names : [''];
  const offsets = topicIdsOf(data, group, state).flatMap((topicId) =>
    readers.map((memberId) => {
      const name = memberId === '' ? group : offsetsName(group, mode, memberId);
      return { topicId, memberId, offsets: data.groupOffsets(name, topicId) };
    }),
  );
  const members = names.map((name) => state!.members.get(name)!);
  const topics = [...(state?.topics.values() ?? [])].map(({ topicId, name, queues }) => {
    const shares = queues.map(({ owner, next }) => ({
      ...(owner === undefined ? {} : { owner }),
      ...(next === undefined ? {} : { next }),
    }));
    return { topicId, name, queues: shares };
  });
  return { mode, generation: state?.generation ?? 0, epoch, members, topics, offsets };
}

function topicIdsOf(data: DataShard, group: string, state: MembershipView | undefined): string[] {
  const all = new Set([...data.groupTopicIds(group), ...(state?.topics.keys() ?? [])]);
  return [...all].sort();
}
