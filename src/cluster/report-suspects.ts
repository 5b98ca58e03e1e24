/**
 * Replicas of this node that lost records which nobody can name never vote again; and one of which
 * no trace is left, though the metadata knows that it was here, is gone. Their node asks the
 * metadata for successors: new replicas, here too, that learn everything anew.
 */
import type { RecoveredShard, ReplicaId, ShardId } from '../../raft/types.ts';
import { startSystemTimer } from '../clock.ts';
import type { ShardHost } from '../shards/api.ts';
import type { ShardPlacement } from './api.ts';
import { META_SHARD } from './birth-placement.ts';
import type { MetaProposer } from './registration.ts';

export interface SuspectReplica {
  readonly shard: ShardId;
  readonly replica: ReplicaId;
}

export function suspectsAmong(recovered: readonly RecoveredShard[]): readonly SuspectReplica[] {
  return recovered
    .filter(({ state }) => state.suspect === true)
    .map(({ shard, state }) => ({ shard, replica: state.replica }));
}

/** What this directory remembers. */
export interface Memory {
  readonly incarnation: string;
  /** The highest replica id of the shard that was ever here; 0 = none. */
  highestOf(shard: ShardId): ReplicaId;
}

const RETRY_AFTER_MS = 1000;

export function reportSuspects(
  host: Pick<ShardHost, 'leaderOf' | 'meta' | 'onApplied' | 'onLeadership'>,
  proposer: MetaProposer,
  suspects: readonly SuspectReplica[],
  memory: Memory,
  startTimer = startSystemTimer,
): { stop(): void } {
  const proposing = new Set<ShardId>();
  let stopRetry = (): void => undefined;
  /** The only copy of a shard has nobody to learn from. */
  const isReplaceable = ({ shard, replica }: SuspectReplica): boolean => {
    // A suspect replica learns nothing: these tables stand still, and may not know it yet.
    if (shard === META_SHARD && memory.highestOf(shard) === replica) return true;
    const voters = host.meta().placement(shard)?.voters ?? [];
    const learners = host.meta().placement(shard)?.learners ?? [];
    return voters.length > 1 && [...voters, ...learners].some((one) => one.replica === replica);
  };
  const look = (): void => {
    if (host.leaderOf(META_SHARD) === undefined) return;
    for (const suspect of [...suspects, ...forgotten(host.meta().placements(), memory)]) {
      const { shard, replica } = suspect;
      if (proposing.has(shard) || !isReplaceable(suspect)) continue;
      proposing.add(shard);
      proposer.proposeMeta({ type: 'replaceReplica', shard, replica }, (error) => {
        proposing.delete(shard);
        if (error === undefined) return;
        stopRetry();
        stopRetry = startTimer(RETRY_AFTER_MS, look);
      });
    }
  };
  const isMeta = (shard: ShardId): void => {
    if (shard === META_SHARD) look();
  };
  const stops = [host.onLeadership(isMeta), host.onApplied(isMeta)];
  return {
    stop() {
      stopRetry();
      for (const stop of stops) stop();
    },
  };
}

/**
 * A placement that was brought about has voters who caught up before they became voters: they were
 * here. If this directory never heard of one, the record that created it is lost.
 */
function forgotten(
  placements: readonly ShardPlacement[],
  { incarnation, highestOf }: Memory,
): SuspectReplica[] {
  return placements
    .filter(({ version, placedVersion }) => version === placedVersion)
    .flatMap(({ shard, voters }) =>
      voters
        .filter((one) => one.incarnation === incarnation && one.replica > highestOf(shard))
        .map(({ replica }) => ({ shard, replica })),
    );
}
