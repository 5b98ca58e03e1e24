/**
 * Members of consumer groups, and who reads which queue. Every change of members, topics or offsets
 * gives the group a new generation; only a member that knows the present one may commit, and only
 * queues that it owns.
 *
 *   owner A, next A ─ B joins ─▶ owner A, next B ─ A acknowledges that ─▶ owner B, next B
 *
 * A queue that is to move stays with its owner until that one has acknowledged the generation that
 * took it away, or is gone: so no two members ever own a queue. In between the owner may still
 * commit what it had read. A hand-over makes no new generation: nobody else's commits fail of it.
 */
import type { LogIndex } from '../../raft/types.ts';
import { type ApplyResult, type Refusal, refused } from './commands.ts';
import type { GroupCommand, GroupMemberRef, JoinedTopic, MemberLife } from './group-commands.ts';
import {
  dropHead,
  dropMember,
  dropTopic,
  type GroupMemberState,
  type MembershipState,
  newMembership,
  readMemberships,
  writeHead,
  writeMember,
  writeTopic,
} from './group-rows.ts';
import { handOver, isOwed, isUnread, owesQueues, readersOf, settle } from './group-shares.ts';
import { isForeign } from './owner.ts';
import type { StateRow, StateWriter } from './state-port.ts';

type CommandOf<Type extends GroupCommand['type']> = Extract<GroupCommand, { type: Type }>;

export class GroupMembers {
  #groups = new Map<string, MembershipState>();
  #memberCount = 0;
  #queueCount = 0;
  #changes = 0;

  /** Raised by every change of any group; of this replica's life alone. */
  get changes(): number {
    return this.#changes;
  }

  get memberCount(): number {
    return this.#memberCount;
  }

  /** Of all topics that groups with members read. */
  get queueCount(): number {
    return this.#queueCount;
  }

  get(group: string): MembershipState | undefined {
    return this.#groups.get(group);
  }

  /** Groups that have members. */
  *peopled(): Generator<MembershipState> {
    for (const state of this.#groups.values()) if (state.members.size > 0) yield state;
  }

  join(command: CommandOf<'joinGroup'>, index: LogIndex, out: StateWriter): ApplyResult {
    const state = this.#groups.get(command.group) ?? newMembership(command.group);
    if (state.members.size > 0 && state.mode !== command.mode) {
      return refused({ reason: 'GROUP_MODE', group: command.group, mode: state.mode });
    }
    const before = state.members.get(command.memberId);
    const { memberId, principal = '' } = command;
    if (before !== undefined && isForeign(before.principal, principal)) {
      return refused({ reason: 'MEMBER_FOREIGN', group: command.group, memberId });
    }
    const isSameLife = before !== undefined && before.instanceId === command.instanceId;
    const member = memberOf(command, isSameLife ? before.joinedIn : index);
    const grows = command.topics.some((topic) => isLarger(state, topic));
    if (isSameLife && isSame(before, member) && !grows) return joined(state);
    this.#groups.set(command.group, state);
    state.mode = command.mode;
    if (before === undefined) this.#memberCount += 1;
    state.members.set(member.memberId, member);
    writeMember(state.group, member, out);
    for (const topic of command.topics) this.#widen(state, topic, topic.name);
    this.#change(state, index, out);
    return joined(state);
  }

  /** Those that are still of the life that is meant. */
  leave(
    group: string,
    members: readonly MemberLife[],
    index: LogIndex,
    out: StateWriter,
  ): GroupMemberState[] {
    const state = this.#groups.get(group);
    if (state === undefined) return [];
    const gone: GroupMemberState[] = [];
    for (const { memberId, joinedIn } of members) {
      const member = state.members.get(memberId);
      if (member?.joinedIn !== joinedIn) continue;
      gone.push(member);
      state.members.delete(memberId);
      this.#memberCount -= 1;
      dropMember(group, memberId, out);
    }
    if (gone.length > 0) this.#change(state, index, out);
    return gone;
  }

  /** Topics have more queues than the group knew of. */
  grow(command: CommandOf<'changeGroup'>, index: LogIndex, out: StateWriter): void {
    const state = this.#groups.get(command.group);
    if (state === undefined) return;
    const larger = command.topics.filter((topic) => state.topics.has(topic.topicId));
    if (!larger.some((topic) => isLarger(state, topic))) return;
    for (const topic of larger) this.#widen(state, topic, '');
    this.#change(state, index, out);
  }

  /** What the member lost up to `generation` goes to whom it is meant for. */
  acknowledge(
    command: CommandOf<'acknowledgeGroup'>,
    index: LogIndex,
    out: StateWriter,
  ): ApplyResult {
    const { group, memberId, generation } = command;
    const state = this.#groups.get(group);
    if (state === undefined || !state.members.has(memberId)) {
      return refused({ reason: 'MEMBER_UNKNOWN', group, memberId });
    }
    if (!owesQueues(state, memberId, generation)) return joined(state);
    for (const topic of state.topics.values()) {
      const owed = topic.queues.filter((queue) => isOwed(queue, memberId, generation));
      for (const queue of owed) handOver(queue, generation);
      if (owed.length === 0) continue;
      if (isUnread(state, topic)) this.#dropTopic(state, topic.topicId, out);
      else writeTopic(group, topic, out);
    }
    state.table = index;
    this.#changes += 1;
    writeHead(state, out);
    return joined(state);
  }

  /** Offsets were moved: whoever owns the queues commits nothing until it has seen that. */
  reset(
    group: string,
    topicId: string,
    queues: readonly number[],
    index: LogIndex,
    out: StateWriter,
  ): void {
    const state = this.#groups.get(group);
    if (state === undefined || state.members.size === 0) return;
    const topic = state.topics.get(topicId);
    for (const queue of queues) {
      const share = topic?.queues[queue];
      if (share?.owner !== undefined) share.resetIn = index;
    }
    if (topic !== undefined) writeTopic(group, topic, out);
    this.#raise(state, index, out);
  }

  /** Without members; the caller has seen to it. */
  drop(group: string, out: StateWriter): void {
    if (!this.#groups.delete(group)) return;
    this.#changes += 1;
    dropHead(group, out);
  }

  /** The topic is gone: nobody reads it any more. */
  forgetTopic(topicId: string, index: LogIndex, out: StateWriter): void {
    for (const state of this.#groups.values()) {
      if (!state.topics.has(topicId)) continue;
      for (const member of state.members.values()) {
        if (!member.topicIds.includes(topicId)) continue;
        member.topicIds = member.topicIds.filter((id) => id !== topicId);
        writeMember(state.group, member, out);
      }
      this.#dropTopic(state, topicId, out);
      this.#change(state, index, out);
    }
  }

  /** May this commit be made? A group without members takes everybody's. */
  fence(
    group: string,
    member: GroupMemberRef | undefined,
    topicId: string,
    queues: readonly number[],
  ): Refusal | undefined {
    const state = this.#groups.get(group);
    const members = state?.members.size ?? 0;
    if (member === undefined) {
      return members === 0 ? undefined : { reason: 'GROUP_HAS_MEMBERS', group, members };
    }
    const { memberId, generation: given, principal = '' } = member;
    const known = state?.members.get(memberId);
    const isOwn = known !== undefined && !isForeign(known.principal, principal);
    if (state === undefined || !isOwn) {
      return { reason: 'MEMBER_UNKNOWN', group, memberId };
    }
    const { generation } = state;
    const stale = { reason: 'STALE_GENERATION', group, memberId, generation, given } as const;
    if (given !== generation) return stale;
    const foreign = queues.find((queue) => !mayCommit(state, known, topicId, queue));
    return foreign === undefined ? undefined : { ...stale, queue: foreign };
  }

  load(rows: readonly StateRow[]): void {
    this.#groups = readMemberships(rows);
    for (const state of this.#groups.values()) {
      this.#memberCount += state.members.size;
      for (const topic of state.topics.values()) this.#queueCount += topic.queues.length;
    }
  }

  #widen(state: MembershipState, topic: Omit<JoinedTopic, 'name'>, name: string): void {
    const { topicId, queueCount } = topic;
    let known = state.topics.get(topicId);
    if (known === undefined) {
      known = { topicId, name, queues: [] };
      state.topics.set(topicId, known);
    }
    while (known.queues.length < queueCount) {
      known.queues.push({ owner: undefined, next: undefined, revokedIn: 0, resetIn: 0 });
      this.#queueCount += 1;
    }
  }

  /** Members or topics changed: who has what now? */
  #change(state: MembershipState, index: LogIndex, out: StateWriter): void {
    const load = new Map<string, number>();
    // In an order that is the same on every replica.
    for (const topicId of [...state.topics.keys()].sort()) {
      const topic = state.topics.get(topicId)!;
      const readers = readersOf(state, topicId);
      if (state.mode === 'cluster') settle(state, topic, readers, load, index);
      if (isUnread(state, topic)) this.#dropTopic(state, topicId, out);
      else writeTopic(state.group, topic, out);
    }
    this.#raise(state, index, out);
  }

  #dropTopic(state: MembershipState, topicId: string, out: StateWriter): void {
    this.#queueCount -= state.topics.get(topicId)!.queues.length;
    state.topics.delete(topicId);
    dropTopic(state.group, topicId, out);
  }

  #raise(state: MembershipState, index: LogIndex, out: StateWriter): void {
    state.generation = index;
    state.table = index;
    this.#changes += 1;
    writeHead(state, out);
  }
}

function mayCommit(
  state: MembershipState,
  member: GroupMemberState,
  topicId: string,
  queue: number,
): boolean {
  const share = state.topics.get(topicId)?.queues[queue];
  if (share === undefined) return false;
  if (state.mode === 'broadcast') return member.topicIds.includes(topicId);
  return share.owner === member.memberId && share.resetIn === 0;
}

function memberOf(command: CommandOf<'joinGroup'>, joinedIn: LogIndex): GroupMemberState {
  const { memberId, instanceId, clientName, sessionMs, isNamedHere, topics } = command;
  const { principal = '' } = command;
  const topicIds = [...new Set(topics.map(({ topicId }) => topicId))].sort();
  const who = { memberId, instanceId, joinedIn, clientName, principal };
  return { ...who, sessionMs, isNamedHere, topicIds };
}

function isSame(a: GroupMemberState, b: GroupMemberState): boolean {
  if (a.clientName !== b.clientName || a.sessionMs !== b.sessionMs) return false;
  if (a.principal !== b.principal) return false;
  return a.topicIds.join(' ') === b.topicIds.join(' ');
}

function isLarger(
  state: MembershipState,
  topic: { readonly topicId: string; readonly queueCount: number },
): boolean {
  return topic.queueCount > (state.topics.get(topic.topicId)?.queues.length ?? 0);
}

function joined(state: MembershipState): ApplyResult {
  return { type: 'joined', generation: state.generation };
}
