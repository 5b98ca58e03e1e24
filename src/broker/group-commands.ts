/**
 * Commands about the members of consumer groups, as heads of log entries (see command-codec.ts):
 *
 *   joinGroup        = group memberId instanceId clientName sessionMs mode isNamedHere
 *                      [topicId name queueCount]*, version 2: principal
 *   leaveGroup       = group [memberId joinedIn]* reason
 *   changeGroup      = group [topicId queueCount]*
 *   acknowledgeGroup = group memberId generation
 *   deleteGroup      = group
 *   forkGroup        = group [topicId [queue offset]*]*
 *
 * They live in the shard that the group's name hashes to, beside what the group committed.
 */
import type { LogIndex } from '../../raft/types.ts';
import type { ByteReader, ByteWriter } from './bytes.ts';
import { FormatError } from './bytes.ts';

/** cluster: each queue has one member. broadcast: every member has every queue. */
export const GROUP_MODES = ['cluster', 'broadcast'] as const;
export type GroupMode = (typeof GROUP_MODES)[number];

const LEAVE_REASONS = ['left', 'silent'] as const;
export type LeaveReason = (typeof LEAVE_REASONS)[number];

export interface JoinedTopic {
  readonly topicId: string;
  readonly name: string;
  readonly queueCount: number;
}

/** A member that commits: fenced by the generation of its group. */
export interface GroupMemberRef {
  readonly memberId: string;
  readonly generation: number;
  /** Whose the member must be; absent = nobody was asked. */
  readonly principal?: string;
}

/** A member from one join to its leave: a late command about a former life says nothing. */
export interface MemberLife {
  readonly memberId: string;
  /** The entry that began it. */
  readonly joinedIn: LogIndex;
}

export type GroupCommand =
  /** The same again: the same answer. */
  | {
      readonly type: 'joinGroup';
      readonly group: string;
      readonly memberId: string;
      /** Of the process behind the name; another one takes its place. '' = not told. */
      readonly instanceId: string;
      readonly clientName: string;
      readonly sessionMs: number;
      readonly mode: GroupMode;
      /** By us: nobody will come back under this name. */
      readonly isNamedHere: boolean;
      readonly topics: readonly JoinedTopic[];
      /** Whose it is from now on; absent = nobody was asked. */
      readonly principal?: string;
    }
  | {
      readonly type: 'leaveGroup';
      readonly group: string;
      readonly members: readonly MemberLife[];
      readonly reason: LeaveReason;
    }
  /** Topics of the group have more queues. */
  | {
      readonly type: 'changeGroup';
      readonly group: string;
      readonly topics: readonly { readonly topicId: string; readonly queueCount: number }[];
    }
  /** The member reads no more what it lost up to this generation: others may have it. */
  | {
      readonly type: 'acknowledgeGroup';
      readonly group: string;
      readonly memberId: string;
      readonly generation: number;
    }
  | { readonly type: 'deleteGroup'; readonly group: string }
  /** A new group that begins with these offsets. */
  | {
      readonly type: 'forkGroup';
      readonly group: string;
      readonly topics: readonly ForkedTopic[];
    };

export interface ForkedTopic {
  readonly topicId: string;
  readonly offsets: readonly { readonly queue: number; readonly offset: number }[];
}

/** On disk: never renumber, never reuse. */
export const GROUP_KIND = {
  joinGroup: 40,
  leaveGroup: 41,
  changeGroup: 42,
  acknowledgeGroup: 43,
  deleteGroup: 44,
  forkGroup: 45,
} as const satisfies Record<GroupCommand['type'], number>;

/** Which layout the command is written in: the oldest that can hold it. */
export function groupVersion(command: GroupCommand): number {
  return command.type === 'joinGroup' && command.principal !== undefined ? 2 : 1;
}

/** The newest layout of a kind that is read here. */
export function newestGroupVersion(kind: number): number {
  return kind === GROUP_KIND.joinGroup ? 2 : 1;
}

export function isGroupCommand(command: { readonly type: string }): command is GroupCommand {
  return Object.hasOwn(GROUP_KIND, command.type);
}

export function encodeGroupCommand(command: GroupCommand, out: ByteWriter): Uint8Array {
  out.text(command.group);
  switch (command.type) {
    case 'joinGroup':
      return encodeJoin(command, out);
    case 'leaveGroup':
      out.uint(command.members.length);
      for (const { memberId, joinedIn } of command.members) out.text(memberId).uint(joinedIn);
      return out.u8(LEAVE_REASONS.indexOf(command.reason)).finish();
    case 'changeGroup':
      out.uint(command.topics.length);
      for (const { topicId, queueCount } of command.topics) out.text(topicId).uint(queueCount);
      return out.finish();
    case 'acknowledgeGroup':
      return out.text(command.memberId).uint(command.generation).finish();
    case 'deleteGroup':
      return out.finish();
    case 'forkGroup':
      return encodeFork(command.topics, out);
  }
}

/** undefined = another kind of command. */
export function decodeGroupCommand(
  kind: number,
  version: number,
  from: ByteReader,
): GroupCommand | undefined {
  switch (kind) {
    case GROUP_KIND.joinGroup:
      return decodeJoin(version, from);
    case GROUP_KIND.leaveGroup:
      return {
        type: 'leaveGroup',
        group: from.text(),
        members: list(from, () => ({ memberId: from.text(), joinedIn: from.uint() })),
        reason: oneOf(LEAVE_REASONS, from),
      };
    case GROUP_KIND.changeGroup:
      return {
        type: 'changeGroup',
        group: from.text(),
        topics: list(from, () => ({ topicId: from.text(), queueCount: from.uint() })),
      };
    case GROUP_KIND.acknowledgeGroup:
      return {
        type: 'acknowledgeGroup',
        group: from.text(),
        memberId: from.text(),
        generation: from.uint(),
      };
    case GROUP_KIND.deleteGroup:
      return { type: 'deleteGroup', group: from.text() };
    case GROUP_KIND.forkGroup:
      return { type: 'forkGroup', group: from.text(), topics: list(from, () => decodeFork(from)) };
    default:
      return undefined;
  }
}

function encodeJoin(
  command: Extract<GroupCommand, { type: 'joinGroup' }>,
  out: ByteWriter,
): Uint8Array {
  out.text(command.memberId).text(command.instanceId).text(command.clientName);
  out.uint(command.sessionMs).u8(GROUP_MODES.indexOf(command.mode));
  out.u8(command.isNamedHere ? 1 : 0).uint(command.topics.length);
  for (const { topicId, name, queueCount } of command.topics) {
    out.text(topicId).text(name).uint(queueCount);
  }
  if (command.principal !== undefined) out.text(command.principal);
  return out.finish();
}

function decodeJoin(version: number, from: ByteReader): GroupCommand {
  const command = {
    type: 'joinGroup',
    group: from.text(),
    memberId: from.text(),
    instanceId: from.text(),
    clientName: from.text(),
    sessionMs: from.uint(),
    mode: oneOf(GROUP_MODES, from),
    isNamedHere: oneOf([false, true], from),
    topics: list(from, () => ({
      topicId: from.text(),
      name: from.text(),
      queueCount: from.uint(),
    })),
  } as const;
  return version > 1 ? { ...command, principal: from.text() } : command;
}

function encodeFork(topics: readonly ForkedTopic[], out: ByteWriter): Uint8Array {
  out.uint(topics.length);
  for (const { topicId, offsets } of topics) {
    out.text(topicId).uint(offsets.length);
    for (const { queue, offset } of offsets) out.uint(queue).uint(offset);
  }
  return out.finish();
}

function decodeFork(from: ByteReader): ForkedTopic {
  const topicId = from.text();
  return { topicId, offsets: list(from, () => ({ queue: from.uint(), offset: from.uint() })) };
}

function list<Item>(from: ByteReader, read: () => Item): Item[] {
  return Array.from({ length: from.listLength() }, read);
}

function oneOf<Choice>(choices: readonly Choice[], from: ByteReader): Choice {
  const at = from.u8();
  if (at >= choices.length) throw new FormatError(`choice ${at} of ${choices.length}`);
  return choices[at]!;
}
