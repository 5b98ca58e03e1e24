/** The first configuration of every shard: a pure function of the identity, equal on all nodes. */
import type {
  Configuration,
  Membership,
  ReplicaAddress,
  ReplicaId,
  ShardId,
  ShardState,
} from '../../raft/types.ts';
import { Failure } from '../failure.ts';
import { birthPlacements, META_SHARD } from './birth-placement.ts';
import type { Identity } from './identity.ts';

export { META_SHARD } from './birth-placement.ts';

/** What this node's log must hold before it first takes part: its state of each shard it has. */
export function initialShardStates(identity: Identity): Map<ShardId, ShardState> {
  const states = new Map<ShardId, ShardState>();
  for (let shard = META_SHARD; shard <= identity.dataShards; shard++) {
    const membership = firstMembership(identity, shard);
    const own = membership.replicas.find(({ node }) => node === identity.node);
    if (own !== undefined) states.set(shard, newbornState(own.replica, membership));
  }
  return states;
}

/**
 * What is still to be written at this start. Between writing the states and marking the log as
 * born a crash may leave some of them; after the mark nothing is ever written again, so a log that
 * was lost cannot pass for a new one.
 */
export function missingAtBirth(
  identity: Identity,
  logBorn: boolean,
  recovered: Iterable<ShardId>,
): Map<ShardId, ShardState> {
  const missing = initialShardStates(identity);
  const expected = missing.size;
  for (const shard of recovered) missing.delete(shard);
  if (!logBorn) return missing;
  if (missing.size === expected && expected > 0) {
    throw new Failure(
      `node ${identity.node} has lost its commit log: its directory was in use, but the log is ` +
        'empty. Put the log back; a node that forgot its votes may not take part again',
    );
  }
  return new Map();
}

/** That of the placement at birth. */
export function firstMembership(identity: Identity, shard: ShardId): Membership {
  const { voters, learners } = birthPlacements(identity)[shard]!;
  const ids = (some: readonly ReplicaAddress[]) => some.map(({ replica }) => replica);
  const config: Configuration = {
    voters: ids(voters),
    votersOutgoing: [],
    learners: ids(learners),
    learnersNext: [],
  };
  const replicas = [...voters, ...learners].sort((left, right) => left.replica - right.replica);
  return { config, replicas };
}

function newbornState(replica: ReplicaId, membership: Membership): ShardState {
  return {
    hardState: { term: 0, vote: 0, commit: 0 },
    replica,
    logStart: { index: 0, term: 0 },
    membership,
  };
}
