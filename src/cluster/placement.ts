/** Which data shard a new queue belongs to, for life. Deterministic: it runs inside `apply`. */
import type { ShardId } from '../../raft/types.ts';

/**
 * Places `count` queues one by one on the data shard that holds the fewest by then; of equals the
 * lowest. `queuesPerShard[i]` is what data shard i + 1 holds before; it is not changed.
 */
export function placeQueues(queuesPerShard: readonly number[], count: number): ShardId[] {
  const load = [...queuesPerShard];
  const shards: ShardId[] = [];
  for (let placed = 0; placed < count; placed += 1) {
    let best = 0;
    for (let i = 1; i < load.length; i += 1) {
      if (load[i]! < load[best]!) best = i;
    }
    load[best]! += 1;
    shards.push(best + 1);
  }
  return shards;
}
