/** The shards that a log holds, and which replica ids of those that left must not come back. */
import type { ReplicaId, ShardId, ShardState } from '../raft/types.ts';
import { ShardIndex } from './shard-index.ts';

export class LogShards {
  readonly live = new Map<ShardId, ShardIndex>();
  /** The highest replica id of a shard that was dropped: repeated at the head of each segment. */
  readonly tombstones = new Map<ShardId, ReplicaId>();

  get(shard: ShardId): ShardIndex | undefined {
    return this.live.get(shard);
  }

  /** Ids are issued in ascending order and never used again (internals rule 8). */
  create(shard: ShardId, state: ShardState, recovering: boolean): ShardIndex {
    const dropped = this.tombstones.get(shard) ?? 0;
    if (state.replica <= dropped) {
      throw new Error(`shard ${shard}: replica ${state.replica} comes back; ${dropped} had left`);
    }
    const index = new ShardIndex(shard, state, recovering);
    this.live.set(shard, index);
    return index;
  }

  /** A tombstone at a segment's head says nothing of a later replica of the shard. */
  drop(shard: ShardId, replica: ReplicaId): void {
    this.tombstones.set(shard, Math.max(this.tombstones.get(shard) ?? 0, replica));
    const index = this.live.get(shard);
    if (index === undefined || index.state.replica > replica) return;
    index.retire();
    this.live.delete(shard);
  }
}
