/** The way to a replica that its node may not hold yet (messages.ts, `Invite`). */
import type { RaftState, Reign } from './state.ts';
import type { ReplicaId } from './types.ts';

/**
 * With each heartbeat interval, to every learner that never answered in this reign. A voter was a
 * learner before, so it exists; if its node knows nothing of it, its votes are forgotten, and only
 * a new replica may take its place.
 */
export function inviteStrangers(state: RaftState, reign: Reign): void {
  for (const replica of state.config.learners) {
    if (reign.progress.get(replica)?.isKnown === false) invite(state, replica);
  }
}

function invite(state: RaftState, to: ReplicaId): void {
  const { log, membership, shard, self: from, term } = state;
  const address = membership.current.replicas.find(({ replica }) => replica === to);
  if (address === undefined) return;
  const { node, incarnation } = address;
  const isCommitted = membership.lastIndex <= log.commit;
  const isAlone = !membership.current.replicas.some(
    (other) => other.node === node && other.replica !== to,
  );
  state.out.send({
    ...{ type: 'invite', shard, from, to, term },
    incarnation,
    logStart: log.start,
    membership: membership.first,
    replaces: isCommitted && isAlone,
  });
}
