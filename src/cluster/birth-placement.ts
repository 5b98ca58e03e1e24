/** Where every shard lives when the cluster is born: a pure function of the identity. */
import type { NodeId, ReplicaAddress, ShardId } from '../../raft/types.ts';
import type { ShardPlacement } from './api.ts';
import type { Identity } from './identity.ts';
import { planLeaders } from './leader-plan.ts';
import { planMeta, planReplicas } from './replica-plan.ts';

export const META_SHARD: ShardId = 0;

/** What every directory of a cluster has in common, also those that were added later. */
export type Birth = Pick<Identity, 'dataShards' | 'replicationFactor' | 'members'> &
  Partial<Pick<Identity, 'featureLevel'>>;

/** Of every shard, ascending; version 0. Replica ids count from 1 within each shard, by node. */
export function birthPlacements(birth: Birth): ShardPlacement[] {
  const nodes = birth.members.map(({ node }) => node).sort((left, right) => left - right);
  const { voters, learners } = planMeta(nodes, []);
  const meta = placementOf(birth, META_SHARD, voters, learners, voters[0]!);
  const shards = Array.from({ length: birth.dataShards }, (_, at) => at + 1);
  const held = new Map<ShardId, NodeId[]>(shards.map((shard) => [shard, []]));
  const replicas = planReplicas({ nodes, replicationFactor: birth.replicationFactor, held });
  const leaders = planLeaders(replicas, firstLeaders(replicas));
  const data = shards.map((shard) =>
    placementOf(birth, shard, replicas.get(shard)!, [], leaders.get(shard)!),
  );
  return [meta, ...data];
}

/** Who stands for election first when a cluster boots (raft/README.md): no transfer is needed. */
function firstLeaders(voters: ReadonlyMap<ShardId, readonly NodeId[]>): Map<ShardId, NodeId> {
  return new Map([...voters].map(([shard, nodes]) => [shard, nodes[shard % nodes.length]!]));
}

function placementOf(
  { members }: Birth,
  shard: ShardId,
  voters: readonly NodeId[],
  learners: readonly NodeId[],
  leader: NodeId,
): ShardPlacement {
  const all = [...voters, ...learners].sort((left, right) => left - right);
  const address = (node: NodeId): ReplicaAddress => ({
    replica: all.indexOf(node) + 1,
    node,
    incarnation: members.find((member) => member.node === node)!.incarnation,
  });
  return {
    shard,
    version: 0,
    voters: voters.map(address),
    learners: learners.map(address),
    leader,
    nextReplica: all.length + 1,
    placedVersion: 0,
    leaving: [],
  };
}
