/** What the invariants look at: small enough to be written down by hand in a test. */
import type {
  Configuration,
  Entry,
  LogIndex,
  NodeId,
  ReplicaId,
  ShardId,
  ShardState,
} from '../../../raft/types.ts';

/** One shard's log on one disk, as a reader of its files would see it. */
export interface LogView {
  readonly state: ShardState;
  /** Entries up to here left the log (checkpoint, retention). */
  readonly base: LogIndex;
  readonly lastIndex: LogIndex;
  entry(index: LogIndex): Entry | undefined;
}

export interface DiskView {
  /** Survives a power cut. */
  readonly synced: ReadonlyMap<ShardId, LogView>;
  /** What reads see, synced or not. */
  readonly written: ReadonlyMap<ShardId, LogView>;
  /** What replicas had synced that left this disk, or lost it. */
  readonly gone?: ReadonlyMap<ShardId, readonly LogView[]>;
}

export interface Place {
  readonly node: NodeId;
  readonly shard: ShardId;
}

export function placeKey({ node, shard }: Place): string {
  return `${shard}@${node}`;
}

/** A majority of the voters, and in a joint configuration of the outgoing ones as well. */
export function isQuorum(
  { voters, votersOutgoing }: Pick<Configuration, 'voters' | 'votersOutgoing'>,
  replicas: ReadonlySet<ReplicaId>,
): boolean {
  return [voters, votersOutgoing].every(
    (half) => half.length === 0 || half.filter((id) => replicas.has(id)).length > half.length / 2,
  );
}
