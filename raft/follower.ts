/** What a replica does with its leader's messages (paper 5.3, figure 2). */
import { strict as assert } from 'node:assert';
import { becomeFollower, mayCampaign, startCampaign } from './election.ts';
import { decodeMembership } from './membership-codec.ts';
import type { Append, CoreMessage, Heartbeat } from './messages.ts';
import { maybeFollowQuietly } from './quiet.ts';
import type { RaftState } from './state.ts';
import { type Entry, EntryType, type LogIndex, type ReplicaId } from './types.ts';

export function stepFollower(state: RaftState, message: CoreMessage): void {
  if (message.type === 'append') {
    hearLeader(state, message.from, false);
    handleAppend(state, message);
  } else if (message.type === 'heartbeat') {
    hearLeader(state, message.from, true);
    handleHeartbeat(state, message);
  } else if (message.type === 'timeoutNow') {
    if (message.from === state.leader && mayCampaign(state)) startCampaign(state, true);
  }
}

/**
 * After a reset of the control connection, bulk bytes that were already on their way prove nothing
 * about the leader's life: only a heartbeat, which needs a new control connection, ends suspicion.
 */
function hearLeader(state: RaftState, leader: ReplicaId, isHeartbeat: boolean): void {
  if (state.leader === 0) becomeFollower(state, state.term, leader);
  assert(state.leader === leader, 'a term has one leader');
  if (state.isLeaderSuspect && !isHeartbeat) return;
  // Refused before this heartbeat is refused for good: whoever still wants to lead asks again.
  if (isHeartbeat) state.refusedPreVote = undefined;
  state.isQuiet = false;
  state.isLeaderSuspect = false;
  state.isCampaignEarly = false;
  state.heardMs = state.nowMs;
  state.electionAtMs = state.nowMs + state.electionDrawMs;
}

function handleHeartbeat(state: RaftState, message: Heartbeat): void {
  state.rank = message.rank;
  commitVerified(state, message.commit);
  maybeFollowQuietly(state, message);
  state.out.send({
    type: 'heartbeatReply',
    shard: state.shard,
    from: state.self,
    to: message.from,
    term: state.term,
    // A read may not rest on one that helped a newer leader and then forgot it.
    round: state.isSuspect ? 0 : message.round,
    wallMs: state.wallMs,
    suspect: state.isSuspect,
    quiet: state.isQuiet,
  });
}

/** Never past what this leader's appends proved: the rest of our log may be another history. */
function commitVerified(state: RaftState, leaderCommit: LogIndex): void {
  const index = Math.min(leaderCommit, state.verifiedIndex);
  if (index > state.log.commit) state.log.commitTo(index);
}

function handleAppend(state: RaftState, message: Append): void {
  const { log } = state;
  // What it would acknowledge might rest on records that are lost.
  if (state.isSuspect) return;
  if (message.prevIndex < log.commit) {
    // Old news. What is committed here equals every leader's log, so the ack may say all of it.
    acknowledge(state, message, log.commit);
    return;
  }
  if (!log.matches(message.prevIndex, message.prevTerm)) {
    refuse(state, message);
    return;
  }
  const last = message.prevIndex + message.entries.length;
  appendVerified(state, message.entries);
  state.verifiedIndex = Math.max(state.verifiedIndex, last);
  commitVerified(state, message.commit);
  state.isBehind = message.commit > last;
  if (message.wantsWritten) {
    state.wantsWritten = true;
    state.out.sendAfterWritten({
      type: 'written',
      shard: state.shard,
      from: state.self,
      to: message.from,
      term: state.term,
      index: last,
    });
  }
  acknowledge(state, message, last);
}

/** Only a real conflict of terms truncates: a stale or repeated append never shortens the log. */
function appendVerified(state: RaftState, entries: readonly Entry[]): void {
  for (const entry of entries) {
    if (state.log.matches(entry.index, entry.term)) continue;
    if (entry.index <= state.log.lastIndex) truncateFrom(state, entry.index);
    appendFromLeader(state, entry);
  }
}

function appendFromLeader(state: RaftState, entry: Entry): void {
  state.log.append(entry);
  state.time.appended(entry.timeMs, state.nowMs);
  if (entry.type === EntryType.config) {
    state.membership.append(entry.index, decodeMembership(entry.head));
  }
}

function truncateFrom(state: RaftState, index: LogIndex): void {
  assert(index > state.verifiedIndex, 'what the leader of this term proved stays');
  state.log.truncateFrom(index);
  state.membership.truncateFrom(index);
  for (const write of state.pendingWrites) write.lastIndex = Math.min(write.lastIndex, index - 1);
}

function acknowledge(state: RaftState, message: Append, matchIndex: LogIndex): void {
  state.out.sendAfterDurable({
    type: 'appendReply',
    shard: state.shard,
    from: state.self,
    to: message.from,
    term: state.term,
    success: true,
    matchIndex,
    conflictTerm: 0,
    conflictIndex: 0,
    lastIndex: state.log.lastIndex,
  });
}

function refuse(state: RaftState, message: Append): void {
  const { log } = state;
  const conflictTerm = log.term(message.prevIndex) ?? 0;
  const conflictIndex =
    conflictTerm === 0 ? log.lastIndex + 1 : log.firstIndexOfTermAt(message.prevIndex);
  state.out.sendAfterDurable({
    type: 'appendReply',
    shard: state.shard,
    from: state.self,
    to: message.from,
    term: state.term,
    success: false,
    matchIndex: message.prevIndex,
    conflictTerm,
    conflictIndex,
    lastIndex: log.lastIndex,
  });
}
