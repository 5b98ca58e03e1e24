/**
 * Who may lead: pre-vote (thesis 9.6), vote (paper 5.2, 5.4.1), stickiness (thesis 4.2.3), early
 * campaigns after a connection reset (internals rule 11), and the changes between roles.
 */
import { strict as assert } from 'node:assert';
import { nextHeartbeatAt } from './heartbeat.ts';
import { membersOf } from './membership.ts';
import type { VoteReply, VoteRequest } from './messages.ts';
import { Progress } from './progress.ts';
import { voteResult, votersOf } from './quorum.ts';
import { ReadQueue } from './read-index.ts';
import { appendOwn } from './replication.ts';
import type { RaftState } from './state.ts';
import { EMPTY_BYTES, EntryType, type ReplicaId, type Term } from './types.ts';
import { voterClock } from './voter-clocks.ts';

/**
 * A new draw per attempt: replicas that collided once will not collide for ever. Whoever waits for
 * its own timer is not quiet.
 */
export function restartElectionTimer(state: RaftState): void {
  const { electionTimeoutMs } = state.settings;
  state.isQuiet = false;
  state.isCampaignEarly = false;
  state.electionDrawMs = electionTimeoutMs * (1 + state.rng());
  state.electionAtMs = state.nowMs + state.electionDrawMs;
}

/**
 * A voter with an intact log that knows the time of its last entry: an unknown time could let shard
 * time fall.
 */
export function mayCampaign(state: RaftState): boolean {
  if (state.isSuspect || state.damaged.size > 0) return false;
  if (state.log.lastTimeMs === undefined) return false;
  return state.membership.hasVote(state.self, state.log.commit);
}

/** Refuses to help a challenger while a leader is believed alive. */
export function isSticky(state: RaftState): boolean {
  if (state.role === 'leader') return true;
  if (state.leader === 0 || state.isLeaderSuspect) return false;
  return state.nowMs - state.heardMs < state.settings.electionTimeoutMs;
}

export function becomeFollower(state: RaftState, term: Term, leader: ReplicaId): void {
  assert(term >= state.term, 'terms never fall');
  if (term > state.term) {
    state.term = term;
    state.vote = 0;
    state.verifiedIndex = 0;
  }
  if (state.reign !== undefined) {
    state.failedReads.push(...state.reign.reads.all());
    state.reign = undefined;
    state.verifiedIndex = 0;
  }
  state.role = 'follower';
  state.leader = leader;
  state.isLeaderSuspect = false;
  state.isTransfer = false;
  state.stickyRetryAtMs = Number.POSITIVE_INFINITY;
  state.refusedPreVote = undefined;
  if (leader !== 0) state.isFresh = false;
  restartElectionTimer(state);
}

/** The rehearsal: asks whether a campaign could win, and changes no term and no vote. */
export function startPreVote(state: RaftState): void {
  if (!mayCampaign(state)) {
    becomeFollower(state, state.term, 0);
    return;
  }
  restartElectionTimer(state);
  state.isTransfer = false;
  state.role = 'preCandidate';
  state.leader = 0;
  state.refusedPreVote = undefined;
  state.stickyRetriesLeft = state.settings.stickyRetriesMax;
  state.stickyRetryAtMs = Number.POSITIVE_INFINITY;
  state.votes.clear();
  state.votes.set(state.self, true);
  requestVotes(state, 'preVote');
  maybeFinishPreVote(state);
}

/** The real campaign. The own vote counts only once it is durable (`ownVoteDurable`). */
export function startCampaign(state: RaftState, isTransfer: boolean): void {
  assert(mayCampaign(state), 'only voters campaign');
  state.role = 'candidate';
  state.term++;
  state.vote = state.self;
  state.leader = 0;
  state.verifiedIndex = 0;
  state.isTransfer = isTransfer;
  state.stickyRetryAtMs = Number.POSITIVE_INFINITY;
  state.votes.clear();
  restartElectionTimer(state);
  requestVotes(state, 'vote');
}

function requestVotes(state: RaftState, type: 'preVote' | 'vote'): void {
  for (const voter of votersOf(state.config)) {
    if (voter !== state.self && state.votes.get(voter) !== true) requestVote(state, type, voter);
  }
}

export function requestVote(state: RaftState, type: 'preVote' | 'vote', to: ReplicaId): void {
  const base = {
    shard: state.shard,
    from: state.self,
    to,
    lastIndex: state.log.lastIndex,
    lastTerm: state.log.lastTerm,
    transfer: state.isTransfer,
  };
  if (type === 'preVote') state.out.send({ ...base, type, term: state.term + 1 });
  else state.out.sendAfterDurable({ ...base, type, term: state.term });
}

export function maybeFinishPreVote(state: RaftState): void {
  const result = voteResult(state.config, state.votes);
  if (result === 'won') startCampaign(state, false);
  else if (result === 'lost') becomeFollower(state, state.term, 0);
}

export function maybeFinishCampaign(state: RaftState): void {
  const result = voteResult(state.config, state.votes);
  // Those who voted told their clocks. If that is too long ago, the next campaign asks again.
  const knowsTime = voterClock(state) !== undefined;
  if (result === 'won' && knowsTime) becomeLeader(state);
  else if (result !== 'pending') becomeFollower(state, state.term, 0);
}

/** Called when a hard state became durable. */
export function ownVoteDurable(state: RaftState): void {
  const { term, vote } = state.durableState;
  if (state.role !== 'candidate' || term !== state.term || vote !== state.self) return;
  state.votes.set(state.self, true);
  maybeFinishCampaign(state);
}

function becomeLeader(state: RaftState): void {
  const { log, settings, nowMs } = state;
  state.role = 'leader';
  state.leader = state.self;
  state.isFresh = false;
  state.isTransfer = false;
  state.electionAtMs = Number.POSITIVE_INFINITY;
  state.isQuiet = false;
  state.refusedPreVote = undefined;
  const others = membersOf(state.config).filter((replica) => replica !== state.self);
  const progressOf = (replica: ReplicaId): [ReplicaId, Progress] => {
    const progress = new Progress(replica, log.lastIndex + 1, nowMs, settings);
    progress.isKnown = state.votes.has(replica);
    return [replica, progress];
  };
  state.reign = {
    progress: new Map(others.map(progressOf)),
    matched: new Map([[state.self, log.durable]]),
    writtenMarks: new Map([[state.self, log.written]]),
    rounds: new Map(),
    reads: new ReadQueue(),
    firstIndex: log.lastIndex + 1,
    round: 0,
    heartbeatAtMs: nextHeartbeatAt(nowMs, settings.heartbeatIntervalMs),
    isQuiet: false,
    quietRound: 0,
    quietReplies: new Set(),
    urgedRound: -1,
    uncommittedBytes: 0,
    wantsWrittenTo: 0,
  };
  // Paper 5.4.2: older entries commit only behind one of this term.
  appendOwn(state, EntryType.noop, { head: EMPTY_BYTES, payload: EMPTY_BYTES, bodyCrc: 0 });
}

export function handlePreVote(state: RaftState, request: VoteRequest): void {
  if (request.term <= state.term) {
    replyPreVote(state, request, false, false);
    return;
  }
  if (isSticky(state) && !request.transfer) {
    if (state.role === 'follower') state.refusedPreVote = request;
    replyPreVote(state, request, false, true);
    return;
  }
  const isWorse = !state.log.isUpToDate(request.lastTerm, request.lastIndex);
  if (state.isSuspect || isWorse || (state.role === 'preCandidate' && outranks(state, request))) {
    replyPreVote(state, request, false, false);
    return;
  }
  // Two pre-candidates that both went on would split the votes: one withdraws. An early campaign is
  // put off once: whoever asks again and again may be unable to win.
  if (state.role === 'preCandidate') becomeFollower(state, state.term, 0);
  else if (state.isCampaignEarly) restartElectionTimer(state);
  replyPreVote(state, request, true, false);
}

/**
 * Of two equal pre-candidates that ask at the same time exactly one must go on, or both would
 * withdraw. Later it had its chance: whoever cannot reach a majority would otherwise hinder for
 * ever the one that can.
 */
function outranks(state: RaftState, request: VoteRequest): boolean {
  const { log, settings } = state;
  const isEqual = request.lastTerm === log.lastTerm && request.lastIndex === log.lastIndex;
  const beganMs = state.electionAtMs - state.electionDrawMs;
  const isRecent = state.nowMs - beganMs < settings.heartbeatIntervalMs;
  return isEqual && isRecent && request.term === state.term + 1 && state.self < request.from;
}

/**
 * A grant echoes the term asked for. A refusal carries at least the asker's own term, or the asker
 * would drop it as old.
 */
function replyPreVote(
  state: RaftState,
  request: VoteRequest,
  granted: boolean,
  sticky: boolean,
): void {
  state.out.send({
    type: 'preVoteReply',
    shard: state.shard,
    from: state.self,
    to: request.from,
    term: granted ? request.term : Math.max(state.term, request.term - 1),
    granted,
    sticky,
    wallMs: state.wallMs,
  });
}

/** The request's term is ours by now. */
export function handleVote(state: RaftState, request: VoteRequest): void {
  const isFree = state.vote === request.from || (state.vote === 0 && state.leader === 0);
  const granted =
    isFree && !state.isSuspect && state.log.isUpToDate(request.lastTerm, request.lastIndex);
  if (granted) {
    state.vote = request.from;
    // A rehearsal of our own would only disturb the one that we just voted for.
    if (state.role === 'preCandidate') becomeFollower(state, state.term, 0);
    else restartElectionTimer(state);
  }
  replyVote(state, request, granted);
}

export function replyVote(state: RaftState, request: VoteRequest, granted: boolean): void {
  state.out.sendAfterDurable({
    type: 'voteReply',
    shard: state.shard,
    from: state.self,
    to: request.from,
    term: state.term,
    granted,
    sticky: false,
    wallMs: state.wallMs,
  });
}

export function handlePreVoteReply(state: RaftState, reply: VoteReply): void {
  if (reply.granted && reply.term !== state.term + 1) return;
  if (reply.sticky) {
    scheduleStickyRetry(state);
    return;
  }
  if (state.votes.get(reply.from) === true) return;
  state.votes.set(reply.from, reply.granted);
  maybeFinishPreVote(state);
}

function scheduleStickyRetry(state: RaftState): void {
  if (state.stickyRetryAtMs !== Number.POSITIVE_INFINITY) return;
  if (state.stickyRetriesLeft === 0) return;
  state.stickyRetriesLeft--;
  state.stickyRetryAtMs = state.nowMs + state.settings.stickyRetryMs;
}

export function retryPreVote(state: RaftState): void {
  state.stickyRetryAtMs = Number.POSITIVE_INFINITY;
  requestVotes(state, 'preVote');
}

/**
 * The leader's control connection was reset, or its node is silent: stop shielding it, campaign
 * soon in the order that it gave out itself, and reconsider whom we refused for its sake
 * (internals rule 11).
 */
export function suspectLeader(state: RaftState): void {
  if (state.role !== 'follower' || state.leader === 0 || state.isLeaderSuspect) return;
  const { earlyRankDelayMs, earlyJitterMs } = state.settings;
  state.isLeaderSuspect = true;
  state.isCampaignEarly = true;
  const delayMs = state.rank * earlyRankDelayMs + state.rng() * earlyJitterMs;
  state.electionAtMs = Math.min(state.electionAtMs, state.nowMs + delayMs);
  const refused = state.refusedPreVote;
  state.refusedPreVote = undefined;
  if (refused !== undefined) handlePreVote(state, refused);
}

/** The suspect is connected again: two heartbeat intervals to show that it still leads. */
export function giveLeaderTime(state: RaftState): void {
  if (state.role !== 'follower' || !state.isLeaderSuspect) return;
  state.electionAtMs = state.nowMs + 2 * state.settings.heartbeatIntervalMs;
}

/**
 * At boot one replica per shard goes first, so that leaders spread over the nodes and a fresh
 * cluster need not wait for a timeout. Pre-vote keeps it from disturbing a living leader.
 */
export function isPreferredAtBoot(state: RaftState): boolean {
  const voters = [...state.config.voters].sort((left, right) => left - right);
  return voters.length > 0 && voters[state.shard % voters.length] === state.self;
}

export function scheduleBootCampaign(state: RaftState, delayMs: number): void {
  if (!state.isFresh || !isPreferredAtBoot(state)) return;
  const atMs = state.nowMs + delayMs + state.rng() * state.settings.bootJitterMs;
  state.electionAtMs = Math.min(state.electionAtMs, atMs);
}
