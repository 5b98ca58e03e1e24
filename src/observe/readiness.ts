/** What `/readyz` says: whether to send clients here, and how each shard of this node is. */
import type { NodeId, ShardId } from '../../raft/types.ts';
import type { ShardHost } from '../shards/api.ts';
import { META_SHARD } from '../shards/shard-machine.ts';

export interface ReadinessReport {
  readonly ready: boolean;
  /** Why not. */
  readonly reason?: string;
  readonly node: NodeId;
  readonly shards: readonly ShardReadiness[];
}

export interface ShardReadiness {
  readonly shard: ShardId;
  /** A leader is known here: calls for the shard are brought to it. */
  readonly ready: boolean;
  readonly leader: NodeId | null;
  readonly term: number;
  readonly commit_index: number;
  readonly applied_index: number;
  readonly suspect: boolean;
}

/**
 * Ready: the service serves, and the metadata has a leader. Other shards are shown and do not
 * count: while one has no quorum all nodes would be called unready, though they serve the rest.
 */
export function readinessOf(
  host: Pick<ShardHost, 'leaderOf' | 'node' | 'status'>,
  isServing: boolean,
): ReadinessReport {
  const shards = host
    .status()
    .map(({ shard, leader, term, commitIndex, appliedIndex, suspect }) => ({
      ...{ shard, ready: leader !== undefined, leader: leader ?? null, term },
      ...{ commit_index: commitIndex, applied_index: appliedIndex, suspect },
    }));
  const reason = whyNot(isServing, host.leaderOf(META_SHARD));
  const { node } = host;
  if (reason === undefined) return { ready: true, node, shards };
  return { ready: false, reason, node, shards };
}

function whyNot(isServing: boolean, metaLeader: NodeId | undefined): string | undefined {
  if (metaLeader === undefined) return 'the metadata shard has no leader that this node knows';
  if (!isServing) return 'the metadata here has not caught up, or this node is stopping';
  return undefined;
}
