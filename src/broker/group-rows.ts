/**
 * Members of groups as rows of the table 'group-member'. Key = group kind rest:
 *
 *   head    rest -          value = version generation table mode
 *   member  rest memberId   value = version instanceId joinedIn clientName sessionMs isNamedHere
 *                                   [topicId]*, version 2: principal
 *   topic   rest topicId    value = version name [memberId]* [owner next revokedIn resetIn]*
 *
 * A queue's `owner` and `next` are places in the list of names, from 1; 0 = nobody.
 */
import type { LogIndex } from '../../raft/types.ts';
import { ByteReader, ByteWriter, FormatError, readVersioned } from './bytes.ts';
import { GROUP_MODES, type GroupMode } from './group-commands.ts';
import type { StateRow, StateWriter } from './state-port.ts';

/** One queue of a topic in a group of cluster mode. */
export interface QueueShare {
  /** Who may read and commit it; undefined = nobody reads the topic. */
  owner: string | undefined;
  /** Who shall have it: the owner, or who gets it as soon as the owner has let go of it. */
  next: string | undefined;
  /** The generation in which the owner lost it; 0 = it has not. */
  revokedIn: number;
  /** The generation of a reset that the owner does not know of yet: it may not commit. 0 = none. */
  resetIn: number;
}

export interface GroupTopicState {
  readonly topicId: string;
  readonly name: string;
  readonly queues: QueueShare[];
}

export interface GroupMemberState {
  readonly memberId: string;
  readonly instanceId: string;
  /** The entry that began this life of it. */
  readonly joinedIn: LogIndex;
  readonly clientName: string;
  readonly sessionMs: number;
  readonly isNamedHere: boolean;
  /** Whose it is; '' = nobody was asked. */
  readonly principal: string;
  /** Ids, ascending. */
  topicIds: readonly string[];
}

export interface MembershipState {
  readonly group: string;
  /** Log index of the entry that last changed members, topics or offsets: it never comes again. */
  generation: LogIndex;
  /** Of the entry that last changed anything, a queue's owner too. */
  table: LogIndex;
  mode: GroupMode;
  readonly members: Map<string, GroupMemberState>;
  readonly topics: Map<string, GroupTopicState>;
}

const VERSION = 1;
/** Of a member whose principal is known. */
const PRINCIPAL_VERSION = 2;
const HEAD = 0;
const MEMBER = 1;
const TOPIC = 2;

export function newMembership(group: string): MembershipState {
  const none = { members: new Map(), topics: new Map() };
  return { group, generation: 0, table: 0, mode: 'cluster', ...none };
}

export function writeHead(state: MembershipState, out: StateWriter): void {
  const value = new ByteWriter(16).u8(VERSION).uint(state.generation);
  value.uint(state.table).u8(GROUP_MODES.indexOf(state.mode));
  out.put('group-member', rowKey(state.group, HEAD, ''), value.finish());
}

export function writeMember(group: string, member: GroupMemberState, out: StateWriter): void {
  const version = member.principal === '' ? VERSION : PRINCIPAL_VERSION;
  const value = new ByteWriter(96).u8(version).text(member.instanceId).uint(member.joinedIn);
  value
    .text(member.clientName)
    .uint(member.sessionMs)
    .u8(member.isNamedHere ? 1 : 0);
  value.uint(member.topicIds.length);
  for (const topicId of member.topicIds) value.text(topicId);
  if (member.principal !== '') value.text(member.principal);
  out.put('group-member', rowKey(group, MEMBER, member.memberId), value.finish());
}

export function writeTopic(group: string, topic: GroupTopicState, out: StateWriter): void {
  const places = new Map<string, number>();
  for (const { owner, next } of topic.queues) {
    for (const name of [owner, next]) {
      if (name !== undefined && !places.has(name)) places.set(name, places.size + 1);
    }
  }
  const value = new ByteWriter(128).u8(VERSION).text(topic.name).uint(places.size);
  for (const name of places.keys()) value.text(name);
  const place = (name: string | undefined) => (name === undefined ? 0 : places.get(name)!);
  value.uint(topic.queues.length);
  for (const { owner, next, revokedIn, resetIn } of topic.queues) {
    value.uint(place(owner)).uint(place(next)).uint(revokedIn).uint(resetIn);
  }
  out.put('group-member', rowKey(group, TOPIC, topic.topicId), value.finish());
}

export function dropMember(group: string, memberId: string, out: StateWriter): void {
  out.put('group-member', rowKey(group, MEMBER, memberId), undefined);
}

export function dropTopic(group: string, topicId: string, out: StateWriter): void {
  out.put('group-member', rowKey(group, TOPIC, topicId), undefined);
}

export function dropHead(group: string, out: StateWriter): void {
  out.put('group-member', rowKey(group, HEAD, ''), undefined);
}

export function readMemberships(rows: readonly StateRow[]): Map<string, MembershipState> {
  const found = new Map<string, MembershipState>();
  for (const { key, value } of rows) {
    const fromKey = new ByteReader(key);
    const group = fromKey.text();
    const kind = fromKey.u8();
    let state = found.get(group);
    if (state === undefined) {
      state = newMembership(group);
      found.set(group, state);
    }
    const isOwned = kind === MEMBER && value[0] === PRINCIPAL_VERSION;
    const from = readVersioned(value, isOwned ? PRINCIPAL_VERSION : VERSION);
    readRow(state, kind, fromKey.textToEnd(), isOwned, from);
  }
  return found;
}

function readRow(
  state: MembershipState,
  kind: number,
  rest: string,
  isOwned: boolean,
  from: ByteReader,
): void {
  if (kind === HEAD) {
    state.generation = from.uint();
    state.table = from.uint();
    const mode = GROUP_MODES[from.u8()];
    if (mode === undefined) throw new FormatError('not a mode of a group');
    state.mode = mode;
  } else if (kind === MEMBER) {
    state.members.set(rest, readMember(rest, isOwned, from));
  } else if (kind === TOPIC) state.topics.set(rest, readTopic(rest, from));
  else throw new FormatError(`row kind ${kind} of a group`);
  from.expectEnd();
}

function readMember(memberId: string, isOwned: boolean, from: ByteReader): GroupMemberState {
  const member = {
    memberId,
    instanceId: from.text(),
    joinedIn: from.uint(),
    clientName: from.text(),
    sessionMs: from.uint(),
    isNamedHere: from.u8() === 1,
    topicIds: Array.from({ length: from.listLength() }, () => from.text()),
  };
  return { ...member, principal: isOwned ? from.text() : '' };
}

function readTopic(topicId: string, from: ByteReader): GroupTopicState {
  const name = from.text();
  const names = Array.from({ length: from.listLength() }, () => from.text());
  const read = (): string | undefined => {
    const place = from.uint();
    if (place > names.length) throw new FormatError('not a member of the group');
    return place === 0 ? undefined : names[place - 1]!;
  };
  const queues = Array.from({ length: from.listLength() }, () => ({
    owner: read(),
    next: read(),
    revokedIn: from.uint(),
    resetIn: from.uint(),
  }));
  return { topicId, name, queues };
}

function rowKey(group: string, kind: number, rest: string): Uint8Array {
  return new ByteWriter(64).text(group).u8(kind).textToEnd(rest).finish();
}
