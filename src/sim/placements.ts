/**
 * What the metadata would know: the committed membership of every shard, who left it, and the next
 * replica id. And what no fault may take: a quorum of replicas whose directories are whole.
 */
import type {
  Configuration,
  EntryId,
  LogIndex,
  Membership,
  NodeId,
  ReplicaAddress,
  ReplicaId,
  ShardId,
} from '../../raft/types.ts';

interface Placement {
  index: LogIndex;
  membership: Membership;
  nextReplica: ReplicaId;
  /** Were members, and are not any more. */
  readonly left: Map<ReplicaId, NodeId>;
}

/** Replica ids differ from node ids on purpose: mixing them up must not go unnoticed. */
const REPLICAS_PER_SHARD = 1000;

export class Placements {
  readonly #shards = new Map<ShardId, Placement>();

  born(shard: ShardId, nodes: readonly { readonly id: NodeId; readonly incarnation: string }[]) {
    const first = REPLICAS_PER_SHARD * shard + 1;
    const replicas = nodes.map(({ id, incarnation }, at) => ({
      replica: first + at,
      node: id,
      incarnation,
    }));
    const voters = replicas.map(({ replica }) => replica);
    const config = { voters, votersOutgoing: [], learners: [], learnersNext: [] };
    const membership = { config, replicas };
    this.bornAs(shard, membership, first + nodes.length);
    return membership;
  }

  bornAs(shard: ShardId, membership: Membership, nextReplica: ReplicaId): void {
    this.#shards.set(shard, { index: 0, membership, nextReplica, left: new Map() });
  }

  of(shard: ShardId): Membership {
    return this.#get(shard).membership;
  }

  nextReplica(shard: ShardId): ReplicaId {
    return this.#get(shard).nextReplica++;
  }

  /** A committed configuration was applied somewhere. Gives those who left by it. */
  committed(
    shard: ShardId,
    { index }: Pick<EntryId, 'index'>,
    membership: Membership,
  ): readonly ReplicaAddress[] {
    const placement = this.#get(shard);
    if (index <= placement.index) return [];
    const before = placement.membership.replicas;
    placement.index = index;
    placement.membership = membership;
    const stay = new Set(membership.replicas.map(({ replica }) => replica));
    const gone = before.filter(({ replica }) => !stay.has(replica));
    for (const { replica, node } of gone) placement.left.set(replica, node);
    return gone;
  }

  hasLeft(shard: ShardId, replica: ReplicaId): boolean {
    return this.#get(shard).left.has(replica);
  }

  #get(shard: ShardId): Placement {
    const placement = this.#shards.get(shard);
    if (placement === undefined) throw new Error(`shard ${shard} was never born`);
    return placement;
  }
}

/** Can the configuration go on with these replicas alone? */
export function hasQuorum(
  { voters, votersOutgoing }: Pick<Configuration, 'voters' | 'votersOutgoing'>,
  isWhole: (replica: ReplicaId) => boolean,
): boolean {
  return [voters, votersOutgoing].every(
    (half) => half.length === 0 || half.filter(isWhole).length > half.length / 2,
  );
}
