/**
 * Heartbeats keep leadership, carry numbered rounds (quorum contact, reads) and tell followers how
 * far they may commit and in which order they may campaign early.
 */
import type { RaftState, Reign } from './state.ts';
import type { MonotonicMs, ReplicaId } from './types.ts';

/**
 * Deadlines of all leaders of a node fall on the same multiples of the interval, so that all their
 * heartbeats to one peer leave in one frame.
 */
export function nextHeartbeatAt(nowMs: MonotonicMs, intervalMs: number): MonotonicMs {
  return (Math.floor(nowMs / intervalMs) + 1) * intervalMs;
}

/** Starts a new round; `mayRest`: one in which the members may go quiet (quiet.ts). */
export function broadcastHeartbeat(state: RaftState, reign: Reign, mayRest: boolean): void {
  reign.round++;
  reign.quietRound = mayRest ? reign.round : 0;
  reign.quietReplies.clear();
  reign.rounds.set(state.self, reign.round);
  for (const replica of reign.progress.keys()) sendHeartbeat(state, reign, replica);
}

export function sendHeartbeat(state: RaftState, reign: Reign, to: ReplicaId): void {
  const progress = reign.progress.get(to);
  if (progress === undefined) return;
  state.out.send({
    type: 'heartbeat',
    shard: state.shard,
    from: state.self,
    to,
    term: state.term,
    commit: Math.min(progress.match, state.log.commit),
    round: reign.round,
    rank: rankOf(state, reign, to),
    quiet: reign.quietRound !== 0,
  });
}

/** How many other voters are better placed to lead: longer match first, then the smaller id. */
export function rankOf(state: RaftState, reign: Reign, replica: ReplicaId): number {
  const own = reign.matched.get(replica) ?? 0;
  let rank = 0;
  for (const voter of state.config.voters) {
    if (voter === replica || voter === state.self) continue;
    const match = reign.matched.get(voter) ?? 0;
    if (match > own || (match === own && voter < replica)) rank++;
  }
  return rank;
}
