/**
 * Consumer groups as commands see them: what is committed (groups.ts) and who may commit it
 * (group-members.ts).
 */
import type { Entry, LogIndex, ShardTimeMs } from '../../raft/types.ts';
import { type ApplyResult, type Command, refused } from './commands.ts';
import type { GroupCommand, GroupMemberRef } from './group-commands.ts';
import { GroupMembers } from './group-members.ts';
import { isOfMember, offsetsName } from './group-shares.ts';
import { Groups } from './groups.ts';
import type { HistoryLimits } from './offset-history.ts';
import type { ShardLevel } from './shard-level.ts';
import type { StateRow, StateWriter } from './state-port.ts';

type EntryMark = Pick<Entry, 'index' | 'timeMs'>;
type CommandOf<Type extends Command['type']> = Extract<Command, { type: Type }>;

const DONE: ApplyResult = Object.freeze({ type: 'done' });

export class GroupCalls {
  readonly offsets: Groups;
  readonly members = new GroupMembers();

  constructor(limits: HistoryLimits, level: Pick<ShardLevel, 'current'>) {
    this.offsets = new Groups(limits, level);
  }

  apply(command: GroupCommand, { index, timeMs }: EntryMark, out: StateWriter): ApplyResult {
    switch (command.type) {
      case 'joinGroup':
        return this.#join(command, index, out);
      case 'leaveGroup':
        return this.#leave(command, index, out);
      case 'changeGroup':
        this.members.grow(command, index, out);
        return DONE;
      case 'acknowledgeGroup':
        return this.members.acknowledge(command, index, out);
      case 'deleteGroup':
        return this.#delete(command.group, out);
      case 'forkGroup':
        return this.#fork(command, timeMs, out);
    }
  }

  commit(command: CommandOf<'commitOffsets'>, nowMs: ShardTimeMs, out: StateWriter): ApplyResult {
    const { group, member, offsets, topicId } = command;
    const queues = offsets.map(({ queue }) => queue);
    const fenced = this.members.fence(group, member, topicId, queues);
    if (fenced !== undefined) return refused(fenced);
    return this.offsets.commit(this.nameFor(group, member), topicId, offsets, nowMs, out);
  }

  /** Under which name it commits: members of a broadcast group each have their own. */
  nameFor(group: string, member: GroupMemberRef | undefined): string {
    const mode = this.members.get(group)?.mode ?? 'cluster';
    return member === undefined ? group : offsetsName(group, mode, member.memberId);
  }

  /** Members see that they must begin anew by the generation. */
  reset(
    command: CommandOf<'resetOffsets'>,
    { index, timeMs }: EntryMark,
    out: StateWriter,
  ): ApplyResult {
    const { group, topicId, offsets } = command;
    const state = this.members.get(group);
    if (state?.mode === 'broadcast' && state.members.size > 0) {
      return refused({ reason: 'GROUP_HAS_MEMBERS', group, members: state.members.size });
    }
    const result = this.offsets.reset(group, topicId, offsets, timeMs, out);
    if (result.type !== 'offsets') return result;
    for (const name of this.#ofMembers(group)) {
      this.offsets.reset(name, topicId, offsets, timeMs, out);
    }
    const queues = offsets.map(({ queue }) => queue);
    this.members.reset(group, topicId, queues, index, out);
    return result;
  }

  forgetTopic(topicId: string, index: LogIndex, out: StateWriter): void {
    this.offsets.forgetTopic(topicId, out);
    this.members.forgetTopic(topicId, index, out);
  }

  names(after: string, limit: number): string[] {
    const names = [...this.offsets.names()].filter((name) => name > after && !name.includes('@'));
    return names.sort().slice(0, limit);
  }

  load(
    groups: readonly StateRow[],
    offsets: readonly StateRow[],
    records: readonly StateRow[],
    members: readonly StateRow[],
  ): void {
    this.offsets.load(groups, offsets, records);
    this.members.load(members);
  }

  #join(command: CommandOf<'joinGroup'>, index: LogIndex, out: StateWriter): ApplyResult {
    const result = this.members.join(command, index, out);
    if (result.type === 'joined') this.offsets.ensure(command.group, out);
    return result;
  }

  /** What a member of a broadcast group committed is kept for a name that may come back. */
  #leave(command: CommandOf<'leaveGroup'>, index: LogIndex, out: StateWriter): ApplyResult {
    const { group, members } = command;
    const gone = this.members.leave(group, members, index, out);
    for (const { memberId, isNamedHere } of gone) {
      if (isNamedHere) this.offsets.drop(offsetsName(group, 'broadcast', memberId), out);
    }
    return { type: 'left', count: gone.length };
  }

  #delete(group: string, out: StateWriter): ApplyResult {
    const members = this.members.get(group)?.members.size ?? 0;
    if (members > 0) return refused({ reason: 'GROUP_HAS_MEMBERS', group, members });
    if (this.offsets.epoch(group) === undefined) {
      return refused({ reason: 'GROUP_NOT_FOUND', group });
    }
    this.members.drop(group, out);
    for (const name of [group, ...this.#ofMembers(group)]) this.offsets.drop(name, out);
    return DONE;
  }

  /** A group that begins where another one stood. */
  #fork(
    { group, topics }: Extract<GroupCommand, { type: 'forkGroup' }>,
    nowMs: ShardTimeMs,
    out: StateWriter,
  ): ApplyResult {
    if (this.offsets.epoch(group) !== undefined) return refused({ reason: 'GROUP_EXISTS', group });
    this.offsets.ensure(group, out);
    for (const { topicId, offsets } of topics) {
      this.offsets.commit(group, topicId, offsets, nowMs, out);
    }
    return DONE;
  }

  /** Under which names members of a broadcast group committed. */
  #ofMembers(group: string): string[] {
    return [...this.offsets.names()].filter((name) => isOfMember(name, group));
  }
}
