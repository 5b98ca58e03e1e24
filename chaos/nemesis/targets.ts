/** Whom to hit, drawn from the seed of the strike, and which queues lose their leader by it. */
import type { Stage } from './nemesis.ts';

export function queuesLedBy(
  { shardOfQueue, leaders }: Pick<Stage, 'shardOfQueue' | 'leaders'>,
  nodes: readonly number[],
): number[] {
  return shardOfQueue.flatMap((shard, queue) =>
    nodes.includes(leaders.get(shard) ?? 0) ? [queue] : [],
  );
}

/** Of the shard of any queue that the load writes to. */
export function someLeader({ shardOfQueue, leaders, random }: Stage): number {
  return leaders.get(random.pick(shardOfQueue)) ?? 0;
}

/** Somebody who follows in the shard of some queue; of other shards it may be the leader. */
export function someFollower(stage: Stage): number {
  const leader = someLeader(stage);
  return stage.random.pick(stage.cluster.nodes.filter((node) => node !== leader));
}

/** At least one, never all. */
export function someNodes({ cluster: { nodes }, random }: Stage): number[] {
  return random.shuffled(nodes).slice(0, 1 + random.below(nodes.length - 1));
}
