/**
 * Quiet groups: a shard in which nothing goes on costs nothing. Its leader sends no heartbeats and
 * its followers run no election timer; instead the nodes tell each other once per interval that
 * they live (messages.ts, `Alive`), one message for all their shards. Safety never depends on it:
 * terms, votes and quorums work as always, only timers rest (docs/raft.md).
 */
import { restartElectionTimer, suspectLeader } from './election.ts';
import { broadcastHeartbeat, nextHeartbeatAt } from './heartbeat.ts';
import type { Heartbeat, HeartbeatReply, VoteRequest } from './messages.ts';
import type { RaftState, Reign } from './state.ts';
import type { MonotonicMs, ReplicaId } from './types.ts';

/** Nothing is under way: every member has everything, and the next heartbeat says that it may. */
export function mayRest(state: RaftState, reign: Reign): boolean {
  const { log } = state;
  const last = log.lastIndex;
  if (log.commit !== last || log.durable !== last || reign.reads.count > 0) return false;
  if (state.transfer !== undefined) return false;
  for (const { state: sending, match, inflight } of reign.progress.values()) {
    if (sending !== 'replicate' || match !== last || inflight.count > 0) return false;
  }
  return true;
}

/** Every member answered the same round: nobody waits for this leader any more. */
export function maybeRest(state: RaftState, reign: Reign, reply?: HeartbeatReply): void {
  if (reign.quietRound === 0) return;
  if (reply?.quiet && reply.round === reign.quietRound) reign.quietReplies.add(reply.from);
  if (reign.quietReplies.size < reign.progress.size || !mayRest(state, reign)) return;
  const { heartbeatIntervalMs, quietRefreshMs } = state.settings;
  reign.quietRound = 0;
  reign.isQuiet = true;
  reign.heartbeatAtMs = nextHeartbeatAt(state.nowMs + quietRefreshMs, heartbeatIntervalMs);
}

/** Something goes on again; heartbeats follow from the next interval on. */
export function wakeLeader(state: RaftState, reign: Reign): void {
  reign.quietRound = 0;
  if (!reign.isQuiet) return;
  reign.isQuiet = false;
  reign.heartbeatAtMs = nextHeartbeatAt(state.nowMs, state.settings.heartbeatIntervalMs);
  // Nobody was asked for a sign of life while it was quiet.
  for (const progress of reign.progress.values()) progress.contactMs = state.nowMs;
}

/** Somebody may doubt that this leader is there: it says so at once. */
export function wakeAndSpeak(state: RaftState, reign: Reign): void {
  if (!reign.isQuiet) return;
  wakeLeader(state, reign);
  broadcastHeartbeat(state, reign, false);
}

/** The follower has all that the leader has, durable and known committed: its timer may rest. */
export function maybeFollowQuietly(state: RaftState, { quiet, commit }: Heartbeat): void {
  const { log, settings } = state;
  const hasAll = log.lastIndex === commit && log.commit === commit && log.durable === commit;
  state.isQuiet = quiet && hasAll && state.damaged.size === 0;
  if (!state.isQuiet) return;
  // Should the wake-up get lost after all, the timer is a safety net, not off.
  state.electionAtMs = state.nowMs + 2 * settings.quietRefreshMs + state.electionDrawMs;
}

/** The leader's silence was agreed on: it is shielded as if it had just spoken. */
function wakeFollower(state: RaftState): void {
  if (!state.isQuiet) return;
  restartElectionTimer(state);
  state.heardMs = state.nowMs;
}

/** Somebody asks for a vote, so somebody misses the leader: time to listen for it again. */
export function noticeVoteRequest(state: RaftState, request: VoteRequest): void {
  if (state.reign !== undefined) {
    wakeAndSpeak(state, state.reign);
    return;
  }
  wakeFollower(state);
  // Whoever wants to lead a later term leads this one no more: nothing to shield.
  if (request.from === state.leader && request.term > state.term) state.isLeaderSuspect = true;
}

/** The replica's node gave no sign of life for an election timeout; `heardMs` was its last. */
export function noticeSilence(state: RaftState, replica: ReplicaId, heardMs: MonotonicMs): void {
  const { reign } = state;
  if (reign !== undefined) {
    const progress = reign.progress.get(replica);
    if (progress === undefined) return;
    wakeAndSpeak(state, reign);
    progress.contactMs = Math.min(progress.contactMs, heardMs);
  } else if (replica === state.leader) {
    // All followers see it within an interval: the ranks are a better order than chance.
    wakeFollower(state);
    suspectLeader(state);
  }
}

/** The way to the replica's node was cut, or is there again. */
export function noticeConnection(state: RaftState, replica: ReplicaId): void {
  const { reign } = state;
  if (reign === undefined && replica === state.leader) wakeFollower(state);
  if (reign?.progress.has(replica)) wakeAndSpeak(state, reign);
}
