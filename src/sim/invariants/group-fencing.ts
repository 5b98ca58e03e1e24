/**
 * Members of groups, told from the log alone: an older generation commits nothing, a queue changes
 * hands only when its former owner has acknowledged that or is gone, and what was read before a
 * reset is not committed after it.
 */
import type { LogIndex } from '../../../raft/types.ts';
import type { ApplyResult, Command } from '../../broker/commands.ts';
import { expect } from '../failure.ts';

type CommandOf<Type extends Command['type']> = Extract<Command, { type: Type }>;

interface Life {
  readonly instanceId: string;
  readonly joinedIn: LogIndex;
  /** The last acknowledgement: where it stands, and of which generation. */
  ackedAt: LogIndex;
  ackedGeneration: LogIndex;
}

interface Team {
  readonly members: Map<string, Life>;
  /** What a commit must know of at least. */
  generation: LogIndex;
  /** Per topic and queue: who committed last, and in which entry. */
  readonly committers: Map<string, { readonly memberId: string; readonly index: LogIndex }>;
  readonly resets: Map<string, LogIndex>;
}

export class GroupFencing {
  readonly #teams = new Map<string, Team>();

  applied(index: LogIndex, command: Command, result: ApplyResult): void {
    if (result.type === 'refused') return;
    switch (command.type) {
      case 'joinGroup':
        this.#joined(index, command);
        break;
      case 'leaveGroup':
        this.#left(index, command);
        break;
      case 'acknowledgeGroup':
        this.#acknowledged(index, command);
        break;
      case 'resetOffsets':
        this.#reset(index, command);
        break;
      case 'commitOffsets':
        this.#committed(index, command);
        break;
      case 'prepareOffsets':
        if (result.type === 'partPrepared' && result.at.index === index) {
          this.#prepared(index, command);
        }
        break;
      default:
    }
  }

  #team(group: string): Team {
    let team = this.#teams.get(group);
    if (team === undefined) {
      team = { members: new Map(), generation: 0, committers: new Map(), resets: new Map() };
      this.#teams.set(group, team);
    }
    return team;
  }

  #joined(index: LogIndex, { group, memberId, instanceId }: CommandOf<'joinGroup'>): void {
    const team = this.#team(group);
    if (team.members.get(memberId)?.instanceId === instanceId) return;
    const life = { instanceId, joinedIn: index, ackedAt: 0, ackedGeneration: 0 };
    team.members.set(memberId, life);
    team.generation = index;
  }

  #left(index: LogIndex, { group, members }: CommandOf<'leaveGroup'>): void {
    const team = this.#team(group);
    for (const { memberId, joinedIn } of members) {
      if (team.members.get(memberId)?.joinedIn !== joinedIn) continue;
      team.members.delete(memberId);
      team.generation = index;
    }
  }

  #acknowledged(index: LogIndex, command: CommandOf<'acknowledgeGroup'>): void {
    const life = this.#team(command.group).members.get(command.memberId);
    if (life === undefined) return;
    life.ackedAt = index;
    life.ackedGeneration = Math.max(life.ackedGeneration, command.generation);
  }

  #reset(index: LogIndex, { group, topicId, offsets }: CommandOf<'resetOffsets'>): void {
    const team = this.#team(group);
    if (team.members.size === 0) return;
    team.generation = index;
    for (const { queue } of offsets) team.resets.set(`${topicId}/${queue}`, index);
  }

  /** Whoever prepares offsets is checked as if it committed them there and then. */
  #prepared(index: LogIndex, command: CommandOf<'prepareOffsets'>): void {
    const { generation, group, memberId, topics } = command;
    for (const { offsets, topicId } of topics) {
      const what = { type: 'commitOffsets', group, topicId, offsets } as const;
      const member = { memberId, generation };
      this.#committed(index, memberId === '' ? what : { ...what, member });
    }
  }

  #committed(index: LogIndex, command: CommandOf<'commitOffsets'>): void {
    const { group, member, offsets, topicId } = command;
    const team = this.#team(group);
    const what = `entry ${index} of ${group}`;
    if (member === undefined) {
      expect(team.members.size === 0, 'group-closed', () => `${what}: by nobody in particular`);
      return;
    }
    const { generation, memberId } = member;
    const life = team.members.get(memberId);
    expect(life !== undefined, 'group-member', () => `${what}: ${memberId} is no member`);
    const stale = () => `${what}: generation ${generation}, after ${team.generation}`;
    expect(generation >= team.generation, 'group-generation', stale);
    for (const { queue } of offsets) {
      this.#expectOwner(team, `${topicId}/${queue}`, memberId, what);
      team.committers.set(`${topicId}/${queue}`, { memberId, index });
    }
  }

  #expectOwner(team: Team, queue: string, memberId: string, what: string): void {
    const life = team.members.get(memberId)!;
    const last = team.committers.get(queue);
    const former = last === undefined ? undefined : team.members.get(last.memberId);
    if (last !== undefined && last.memberId !== memberId && former !== undefined) {
      const isGone = former.joinedIn > last.index;
      const letGo = isGone || former.ackedAt > last.index;
      expect(letGo, 'group-exclusive', () => `${what}: ${queue} is still ${last.memberId}'s`);
    }
    const reset = team.resets.get(queue) ?? 0;
    if (last?.memberId !== memberId || last.index > reset) return;
    const knows = life.joinedIn > reset || life.ackedGeneration >= reset;
    expect(knows, 'group-reset', () => `${what}: ${memberId} has not seen the reset at ${reset}`);
  }
}
