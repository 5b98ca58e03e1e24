/** What a cluster says about itself, from the wire to the client's types. */
import { int, list } from './convert.ts';
import type { WireObject } from './proto.ts';
import type { ClusterDescription, ClusterMember, MembersDescription } from './types.ts';

type Shard = ClusterDescription['shards'][number];

export function shard(from: WireObject): Shard {
  return {
    id: int(from.id),
    leader: int(from.leader),
    term: int(from.term),
    commitIndex: int(from.commit_index),
    appliedIndex: int(from.applied_index),
    replicas: list(from.replicas).map((replica) => ({
      node: int(replica.node),
      matchIndex: int(replica.match_index),
      role: String(replica.role),
      replica: int(replica.replica),
      catchingUp: replica.catching_up === true,
      leaving: replica.leaving === true,
      suspect: replica.suspect === true,
    })),
    placement: placement((from.placement ?? {}) as WireObject),
  };
}

function placement(from: WireObject): Shard['placement'] {
  return {
    version: int(from.version ?? 0),
    placedVersion: int(from.placed_version ?? 0),
    voters: numbers(from.voters),
    learners: numbers(from.learners),
    leader: int(from.leader ?? 0),
  };
}

function numbers(from: unknown): number[] {
  return Array.isArray(from) ? from.map((one) => int(one)) : [];
}

export function members(from: WireObject): MembersDescription {
  return {
    clusterId: String(from.cluster_id),
    members: list(from.members).map(member),
    dataShards: int(from.data_shards),
    replicationFactor: int(from.replication_factor),
    born: list(from.born).map(({ node, incarnation }) => ({
      node: int(node),
      incarnation: String(incarnation),
    })),
    createdAtMs: int(from.created_at_ms),
    // A server that knew no levels yet says none.
    bornAtLevel: int(from.born_at_level) || 1,
  };
}

function member(from: WireObject): ClusterMember {
  return {
    node: int(from.node),
    incarnation: String(from.incarnation),
    grpcAddress: String(from.grpc_address),
    peerAddress: String(from.peer_address),
    state: String(from.state),
  };
}
