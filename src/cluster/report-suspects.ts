/**
 * Replicas of this node that lost records which nobody can name never vote again. Their node asks
 * the metadata for successors: new replicas, here too, that learn everything anew.
 */
import type { ReplicaId, ShardId } from '../../raft/types.ts';
import type { ShardHost } from '../shards/api.ts';
import { META_SHARD } from './birth-placement.ts';
import type { MetaProposer } from './registration.ts';

export interface SuspectReplica {
  readonly shard: ShardId;
  readonly replica: ReplicaId;
}

const RETRY_AFTER_MS = 1000;

export function reportSuspects(
  host: Pick<ShardHost, 'leaderOf' | 'meta' | 'onApplied' | 'onLeadership'>,
  proposer: MetaProposer,
  suspects: readonly SuspectReplica[],
): { stop(): void } {
  const proposing = new Set<ShardId>();
  let retry: NodeJS.Timeout | undefined;
  /** The only copy of a shard has nobody to learn from. */
  const isReplaceable = ({ shard, replica }: SuspectReplica): boolean => {
    const voters = host.meta().placement(shard)?.voters ?? [];
    const learners = host.meta().placement(shard)?.learners ?? [];
    return voters.length > 1 && [...voters, ...learners].some((one) => one.replica === replica);
  };
  const look = (): void => {
    if (host.leaderOf(META_SHARD) === undefined) return;
    for (const suspect of suspects) {
      const { shard, replica } = suspect;
      if (proposing.has(shard) || !isReplaceable(suspect)) continue;
      proposing.add(shard);
      proposer.proposeMeta({ type: 'replaceReplica', shard, replica }, (error) => {
        proposing.delete(shard);
        if (error === undefined) return;
        clearTimeout(retry);
        retry = setTimeout(look, RETRY_AFTER_MS);
      });
    }
  };
  const isMeta = (shard: ShardId): void => {
    if (shard === META_SHARD) look();
  };
  const stops = suspects.length === 0 ? [] : [host.onLeadership(isMeta), host.onApplied(isMeta)];
  return {
    stop() {
      clearTimeout(retry);
      for (const stop of stops) stop();
    },
  };
}
