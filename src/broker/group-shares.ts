/** Who owns the queues of a group's topics, and who is to have them (see group-members.ts). */
import type { LogIndex } from '../../raft/types.ts';
import { shareQueues } from './assignment.ts';
import type { GroupMode } from './group-commands.ts';
import type {
  GroupMemberState,
  GroupTopicState,
  MembershipState,
  QueueShare,
} from './group-rows.ts';

/** What `owesQueues` looks at. */
interface Shares {
  readonly generation: LogIndex;
  readonly topics: ReadonlyMap<string, { readonly queues: readonly Readonly<QueueShare>[] }>;
}

/** The member has not acknowledged yet that it lost queues, or that their offsets were moved. */
export function owesQueues(state: Shares, memberId: string, generation: LogIndex): boolean {
  if (generation > state.generation) return false;
  for (const { queues } of state.topics.values()) {
    if (queues.some((queue) => isOwed(queue, memberId, generation))) return true;
  }
  return false;
}

export function isOwed(
  { owner, revokedIn, resetIn }: Readonly<QueueShare>,
  memberId: string,
  generation: LogIndex,
): boolean {
  if (owner !== memberId) return false;
  return isPast(revokedIn, generation) || isPast(resetIn, generation);
}

/** The owner knows `generation`: it gives what it lost by then, and has seen what was moved. */
export function handOver(queue: QueueShare, generation: LogIndex): void {
  if (isPast(queue.resetIn, generation)) queue.resetIn = 0;
  if (isPast(queue.revokedIn, generation)) give(queue);
}

/** Under whose name a member of a broadcast group commits. No group can have this name. */
export function offsetsName(group: string, mode: GroupMode, memberId: string): string {
  return mode === 'broadcast' ? `${group}@${memberId}` : group;
}

/** Does a member of this broadcast group commit under the name? */
export function isOfMember(name: string, group: string): boolean {
  return name.startsWith(`${group}@`);
}

/** Who reads a topic, ascending: the order of a map is not the same on every replica. */
export function readersOf(
  state: { readonly members: ReadonlyMap<string, Readonly<GroupMemberState>> },
  topicId: string,
): string[] {
  const readers: string[] = [];
  for (const { memberId, topicIds } of state.members.values()) {
    if (topicIds.includes(topicId)) readers.push(memberId);
  }
  return readers.sort();
}

/** Nobody wants the topic, and nobody has yet to let go of it. */
export function isUnread(state: MembershipState, topic: GroupTopicState): boolean {
  if (topic.queues.some(({ owner }) => owner !== undefined)) return false;
  return readersOf(state, topic.topicId).length === 0;
}

/** The entry at `index` changed who is there. */
export function settle(
  state: MembershipState,
  topic: GroupTopicState,
  readers: readonly string[],
  load: Map<string, number>,
  index: LogIndex,
): void {
  const isReader = new Set(readers);
  const reader = (name: string | undefined) =>
    name !== undefined && isReader.has(name) ? name : undefined;
  // What was on its way to somebody who left stays where it is, if it may.
  const before = topic.queues.map(({ next, owner }) => reader(next) ?? reader(owner));
  const shares = readers.length === 0 ? [] : shareQueues(before, readers, load);
  topic.queues.forEach((queue, at) => {
    queue.next = shares[at];
    const isThere = queue.owner !== undefined && state.members.has(queue.owner);
    if (!isThere || queue.owner === queue.next) give(queue);
    else if (queue.revokedIn === 0) queue.revokedIn = index;
  });
}

/** A reset concerns only who was reading then: somebody else begins at what is committed. */
function give(queue: QueueShare): void {
  if (queue.owner !== queue.next) queue.resetIn = 0;
  queue.owner = queue.next;
  queue.revokedIn = 0;
}

function isPast(mark: LogIndex, generation: LogIndex): boolean {
  return mark > 0 && mark <= generation;
}
