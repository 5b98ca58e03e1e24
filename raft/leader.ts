/** The leader: counts answers, keeps in touch with a quorum, steps down when it cannot. */
import { strict as assert } from 'node:assert';
import { becomeFollower } from './election.ts';
import { broadcastHeartbeat, nextHeartbeatAt } from './heartbeat.ts';
import { inviteStrangers } from './invite.ts';
import type { CoreMessage } from './messages.ts';
import { maybeRest, mayRest, wakeLeader } from './quiet.ts';
import { voteResult } from './quorum.ts';
import { confirmReads } from './read-index.ts';
import { handleAppendReply, handleHeartbeatReply, handleWritten } from './replication.ts';
import type { RaftState, Reign } from './state.ts';
import type { ReplicaId } from './types.ts';

export function reignOf(state: RaftState): Reign {
  assert(state.reign !== undefined, 'a leader has a reign');
  return state.reign;
}

export function stepLeader(state: RaftState, message: CoreMessage): void {
  const reign = reignOf(state);
  // Quiet is a state that all members share: whoever says anything else is not in it.
  if (message.type !== 'heartbeatReply' || !message.quiet) wakeLeader(state, reign);
  switch (message.type) {
    case 'append':
    case 'heartbeat':
      assert.fail('two leaders in one term');
      break;
    case 'appendReply':
      handleAppendReply(state, reign, message);
      break;
    case 'written':
      handleWritten(reign, message);
      break;
    case 'heartbeatReply':
      if (handleHeartbeatReply(state, reign, message)) confirmReads(state, reign);
      maybeRest(state, reign, message);
      break;
    default:
      break;
  }
}

export function tickLeader(state: RaftState): void {
  const reign = reignOf(state);
  if (state.nowMs < reign.heartbeatAtMs) return;
  wakeLeader(state, reign);
  if (!hasQuorumContact(state, reign)) {
    becomeFollower(state, state.term, 0);
    return;
  }
  reign.heartbeatAtMs = nextHeartbeatAt(state.nowMs, state.settings.heartbeatIntervalMs);
  broadcastHeartbeat(state, reign, mayRest(state, reign));
  inviteStrangers(state, reign);
  maybeRest(state, reign);
}

/** CheckQuorum (thesis 6.2): a leader that is cut off must not go on taking proposals. */
function hasQuorumContact(state: RaftState, reign: Reign): boolean {
  const heard = new Map<ReplicaId, boolean>([[state.self, true]]);
  for (const progress of reign.progress.values()) {
    const silentMs = state.nowMs - progress.contactMs;
    heard.set(progress.replica, silentMs < state.settings.electionTimeoutMs);
  }
  return voteResult(state.config, heard) === 'won';
}
