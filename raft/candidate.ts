/** Candidates and pre-candidates: count answers, give way to a leader of the same term. */
import {
  becomeFollower,
  handlePreVoteReply,
  maybeFinishCampaign,
  retryPreVote,
  startPreVote,
} from './election.ts';
import { stepFollower } from './follower.ts';
import type { CoreMessage } from './messages.ts';
import type { RaftState } from './state.ts';
import { hearClock } from './voter-clocks.ts';

export function stepCandidate(state: RaftState, message: CoreMessage): void {
  switch (message.type) {
    case 'append':
    case 'heartbeat':
      becomeFollower(state, state.term, message.from);
      stepFollower(state, message);
      return;
    case 'preVoteReply':
      if (state.role === 'preCandidate') handlePreVoteReply(state, message);
      return;
    case 'voteReply':
      if (state.role !== 'candidate' || state.votes.has(message.from)) return;
      hearClock(state, message.from, message.wallMs);
      state.votes.set(message.from, message.granted);
      maybeFinishCampaign(state);
      return;
    default:
      return;
  }
}

/** Followers too: whoever hears nothing for its election timeout asks for a vote. */
export function tickElection(state: RaftState): void {
  if (state.nowMs >= state.electionAtMs) startPreVote(state);
  else if (state.role === 'preCandidate' && state.nowMs >= state.stickyRetryAtMs) {
    retryPreVote(state);
  }
}
