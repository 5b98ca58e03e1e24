/**
 * Changes of the membership, by its leader (paper section 6, thesis chapter 4): one configuration
 * entry at a time, in force as soon as it is appended. At most one voter changes in a simple step;
 * more go through a joint configuration, which the leader leaves by itself once it is committed,
 * also one that it inherits.
 */
import { crc32 } from './crc32.ts';
import { becomeFollower } from './election.ts';
import { errorCode, RaftErrorCode } from './errors.ts';
import { broadcastHeartbeat } from './heartbeat.ts';
import {
  enterJoint,
  isJoint,
  leaveJoint,
  type MembershipChange,
  membersOf,
  simple,
} from './membership.ts';
import { encodeMembership } from './membership-codec.ts';
import { Progress } from './progress.ts';
import { wakeLeader } from './quiet.ts';
import { isVoter } from './quorum.ts';
import { appendOwn } from './replication.ts';
import type { RaftState, Reign } from './state.ts';
import {
  type Configuration,
  EMPTY_BYTES,
  type Entry,
  EntryType,
  type Membership,
  type ReplicaAddress,
  type ReplicaId,
} from './types.ts';

export interface MembershipRequest {
  /** By replica id. */
  readonly changes: readonly MembershipChange[];
  /** Where the replicas live that are not members yet. */
  readonly replicas: readonly ReplicaAddress[];
}

export type ChangeRefusal =
  | { readonly refused: 'notLeader' }
  | { readonly refused: 'busy' }
  | { readonly refused: 'invalid'; readonly reason: string };

export function proposeChange(state: RaftState, request: MembershipRequest): Entry | ChangeRefusal {
  const { reign } = state;
  if (reign === undefined) return { refused: 'notLeader' };
  if (state.transfer !== undefined || !isSettled(state, reign)) return { refused: 'busy' };
  if (isJoint(state.config)) return { refused: 'busy' };
  const next = nextMembership(state.membership.current, request);
  if (typeof next === 'string') return { refused: 'invalid', reason: next };
  return appendMembership(state, reign, next);
}

/**
 * The configuration in force is committed, and so is an entry of this term: without the second,
 * two leaders could change the same configuration to two that share no majority.
 */
function isSettled(state: RaftState, reign: Reign): boolean {
  const { commit } = state.log;
  return state.membership.lastIndex <= commit && reign.firstIndex <= commit;
}

/** A text says why not. */
function nextMembership(current: Membership, request: MembershipRequest): Membership | string {
  const config = nextConfiguration(current.config, request.changes);
  if (typeof config === 'string') return config;
  const addresses = new Map(current.replicas.map((address) => [address.replica, address]));
  for (const address of request.replicas) {
    const known = addresses.get(address.replica);
    if (known !== undefined && !isSameAddress(known, address)) {
      return `replica ${address.replica} is on node ${known.node} already`;
    }
    addresses.set(address.replica, address);
  }
  const replicas: ReplicaAddress[] = [];
  for (const replica of membersOf(config).sort((left, right) => left - right)) {
    const address = addresses.get(replica);
    if (address === undefined) return `nobody knows where replica ${replica} lives`;
    replicas.push(address);
  }
  const nodes = new Set(config.voters.map((voter) => addresses.get(voter)!.node));
  if (nodes.size < config.voters.length) return 'two voters on one node';
  return { config, replicas };
}

function isSameAddress(left: ReplicaAddress, right: ReplicaAddress): boolean {
  return left.node === right.node && left.incarnation === right.incarnation;
}

function nextConfiguration(
  config: Configuration,
  changes: readonly MembershipChange[],
): Configuration | string {
  try {
    const joint = enterJoint(config, changes, { autoLeave: true });
    const isLarge = symmetricDifference(config.voters, joint.voters) > 1;
    const next = isLarge ? joint : simple(config, changes);
    return !isLarge && isSameConfiguration(config, next) ? 'nothing would change' : next;
  } catch (error) {
    const isRefusal =
      error instanceof Error && errorCode(error) === RaftErrorCode.invalidMembership;
    if (!isRefusal) throw error;
    return error.message;
  }
}

function symmetricDifference(left: readonly ReplicaId[], right: readonly ReplicaId[]): number {
  const gone = left.filter((id) => !right.includes(id)).length;
  return gone + right.filter((id) => !left.includes(id)).length;
}

function isSameConfiguration(left: Configuration, right: Configuration): boolean {
  return (
    symmetricDifference(left.voters, right.voters) === 0 &&
    symmetricDifference(left.learners, right.learners) === 0
  );
}

function appendMembership(state: RaftState, reign: Reign, membership: Membership): Entry {
  wakeLeader(state, reign);
  const head = encodeMembership(membership);
  const body = { head, payload: EMPTY_BYTES, bodyCrc: crc32(head) };
  const entry = appendOwn(state, EntryType.config, body);
  state.membership.append(entry.index, membership);
  followMembers(state, reign);
  return entry;
}

/** Replication goes to whoever is a member now, and only their answers count. */
function followMembers(state: RaftState, reign: Reign): void {
  const members = new Set(membersOf(state.config));
  for (const replica of reign.progress.keys()) {
    if (members.has(replica)) continue;
    for (const known of [reign.progress, reign.matched, reign.writtenMarks, reign.rounds]) {
      known.delete(replica);
    }
  }
  for (const replica of members) {
    if (replica === state.self || reign.progress.has(replica)) continue;
    const next = state.log.lastIndex + 1;
    reign.progress.set(replica, new Progress(replica, next, state.nowMs, state.settings));
  }
}

/** Called at every `ready()`: a committed change may call for another step. */
export function finishChange(state: RaftState, reign: Reign): void {
  if (!isSettled(state, reign)) return;
  if (isJoint(state.config)) {
    const config = leaveJoint(state.config);
    const members = new Set(membersOf(config));
    const { replicas } = state.membership.current;
    const stay = replicas.filter(({ replica }) => members.has(replica));
    appendMembership(state, reign, { config, replicas: stay });
  } else if (!isVoter(state.config, state.self)) abdicate(state, reign);
}

/**
 * The committed configuration has no vote for this leader: its reign ends (thesis 4.2.2). The voter
 * that has most of the log need not wait for a timeout.
 */
export function abdicate(state: RaftState, reign: Reign): void {
  const { shard, self: from, term } = state;
  // Whoever went quiet in trust of this leader runs its own timer again.
  wakeLeader(state, reign);
  broadcastHeartbeat(state, reign, false);
  let heir: Progress | undefined;
  for (const progress of reign.progress.values()) {
    if (!isVoter(state.config, progress.replica)) continue;
    if (heir === undefined || progress.match > heir.match) heir = progress;
  }
  if (heir !== undefined)
    state.out.send({ type: 'timeoutNow', shard, from, to: heir.replica, term });
  becomeFollower(state, term, 0);
}
