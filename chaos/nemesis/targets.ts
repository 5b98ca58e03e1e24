/**
 * Whom to hit, drawn from the seed of the strike, and which queues lose their leader by it. Faults
 * that strike together choose apart, as far as there are nodes, in the order in which the step
 * names them: of two on one node neither could be proved.
 */
import type { Link } from '../cluster/proxies.ts';
import type { Stage } from './nemesis.ts';

export function queuesLedBy(
  { shardOfQueue, leaders }: Pick<Stage, 'shardOfQueue' | 'leaders'>,
  nodes: readonly number[],
): number[] {
  return shardOfQueue.flatMap((shard, queue) =>
    nodes.includes(leaders.get(shard) ?? 0) ? [queue] : [],
  );
}

/** Those that no other fault of the step has; all, when there are none. */
function free(stage: Stage, nodes: readonly number[]): readonly number[] {
  const left = nodes.filter((node) => !stage.isTaken(node));
  return left.length === 0 ? nodes : left;
}

function claimed(stage: Stage, node: number): number {
  stage.claim([node]);
  return node;
}

/** Of the shard of any queue that the load writes to; else anybody whom no other fault has. */
export function someLeader(stage: Stage): number {
  const { cluster, leaders, random, shardOfQueue } = stage;
  const all = shardOfQueue.map((shard) => leaders.get(shard) ?? 0);
  const untaken = all.filter((node) => !stage.isTaken(node));
  const from = untaken.length > 0 ? untaken : free(stage, cluster.nodes);
  return claimed(stage, random.pick(from));
}

/**
 * Somebody who follows in the shard of some queue; of other shards it may be the leader, and of all
 * of them, where nobody else is left.
 */
export function someFollower(stage: Stage): number {
  const { cluster, leaders, random, shardOfQueue } = stage;
  const leader = leaders.get(random.pick(shardOfQueue)) ?? 0;
  const untaken = cluster.nodes.filter((node) => node !== leader && !stage.isTaken(node));
  const from = untaken.length > 0 ? untaken : free(stage, cluster.nodes);
  return claimed(stage, random.pick(from));
}

export function someNode(stage: Stage): number {
  return claimed(stage, stage.random.pick(free(stage, stage.cluster.nodes)));
}

/** At least one, never all. */
export function someNodes(stage: Stage): number[] {
  const { cluster, random } = stage;
  const from = free(stage, cluster.nodes);
  const nodes = random.shuffled(from).slice(0, 1 + random.below(Math.max(1, from.length - 1)));
  stage.claim(nodes);
  return nodes;
}

/**
 * As many nodes as can be without a majority of any group among them: two of five nodes may have
 * two of a shard's three replicas.
 */
export function someMinority(stage: Stage, groups: readonly (readonly number[])[]): number[] {
  const nodes: number[] = [];
  for (const node of inAnyOrder(stage)) {
    const others = groups.map((group) =>
      group.filter((one) => one === node || nodes.includes(one)),
    );
    if (others.every(({ length }, at) => 2 * length < groups[at]!.length)) nodes.push(node);
  }
  stage.claim(nodes);
  return nodes;
}

/** All nodes; those that other faults have come last. */
export function inAnyOrder(stage: Stage): number[] {
  const order = stage.random.shuffled(stage.cluster.nodes);
  return [
    ...order.filter((node) => !stage.isTaken(node)),
    ...order.filter((node) => stage.isTaken(node)),
  ];
}

/** Links between nodes that no other fault has: what is seen on them is this one's doing. */
export function provable(stage: Stage, links: readonly Link[]): Link[] {
  return links.filter(({ from, to }) => !stage.isTaken(from) && !stage.isTaken(to));
}
