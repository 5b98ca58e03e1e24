/** The first configuration of every shard: a pure function of the identity, equal on all nodes. */
import type {
  Configuration,
  Membership,
  NodeId,
  ReplicaId,
  ShardId,
  ShardState,
} from '../../raft/types.ts';
import { Failure } from '../failure.ts';
import type { Identity, Member } from './identity.ts';

export const META_SHARD: ShardId = 0;
/** More voters would slow every metadata write and add little safety. */
const META_VOTERS_MAX = 5;

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

/** Replica ids count from 1 within each shard; the metadata shard issues later ones. */
export function firstMembership(identity: Identity, shard: ShardId): Membership {
  const voters = shard === META_SHARD ? metaVoters(identity) : dataVoters(identity, shard);
  const learners = shard === META_SHARD ? identity.members.slice(META_VOTERS_MAX) : [];
  const members = [...voters, ...learners].sort((left, right) => left.node - right.node);
  const replicas = members.map(({ node, incarnation }, position) => ({
    replica: position + 1,
    node,
    incarnation,
  }));
  const idOf = new Map<NodeId, ReplicaId>(replicas.map(({ node, replica }) => [node, replica]));
  const ids = (some: readonly Member[]) =>
    some.map(({ node }) => idOf.get(node)!).sort((left, right) => left - right);
  const config: Configuration = {
    voters: ids(voters),
    votersOutgoing: [],
    learners: ids(learners),
    learnersNext: [],
  };
  return { config, replicas };
}

/** Every node needs the metadata: those beyond the voters hold it as learners. */
function metaVoters({ members }: Identity): readonly Member[] {
  return members.slice(0, META_VOTERS_MAX);
}

/** Neighbours on a ring, so that each node holds about the same number of shards. */
function dataVoters({ members, replicationFactor }: Identity, shard: ShardId): readonly Member[] {
  const count = Math.min(replicationFactor, members.length);
  return Array.from({ length: count }, (_, k) => members[(shard - 1 + k) % members.length]!);
}

function newbornState(replica: ReplicaId, membership: Membership): ShardState {
  return {
    hardState: { term: 0, vote: 0, commit: 0 },
    replica,
    logStart: { index: 0, term: 0 },
    membership,
  };
}
