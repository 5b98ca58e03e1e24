/**
 * Who of a shard's voters should lead it, so that every node leads about as many data shards. Pure,
 * and as sparing as the plan of the replicas: a shard keeps its leader while that helps.
 */
import type { NodeId, ShardId } from '../../raft/types.ts';

/**
 * `present`: who should lead now; ignored where that node is no voter any more. Two nodes' counts
 * differ by more than one only where the voters leave no other choice.
 */
export function planLeaders(
  voters: ReadonlyMap<ShardId, readonly NodeId[]>,
  present: ReadonlyMap<ShardId, NodeId>,
): Map<ShardId, NodeId> {
  const spread = new Spread(voters, present);
  spread.even();
  return spread.leaders;
}

class Spread {
  readonly leaders = new Map<ShardId, NodeId>();
  readonly #voters: ReadonlyMap<ShardId, readonly NodeId[]>;
  readonly #count = new Map<NodeId, number>();

  constructor(
    voters: ReadonlyMap<ShardId, readonly NodeId[]>,
    present: ReadonlyMap<ShardId, NodeId>,
  ) {
    this.#voters = voters;
    for (const nodes of voters.values()) for (const node of nodes) this.#count.set(node, 0);
    for (const [shard, nodes] of voters) {
      const leader = present.get(shard);
      if (leader !== undefined && nodes.includes(leader)) this.#give(shard, leader);
    }
    for (const [shard, nodes] of voters) {
      if (!this.leaders.has(shard)) this.#give(shard, this.#least(nodes));
    }
  }

  /**
   * A chain of hand-overs from a node with at least two more to one with fewer is taken as long as
   * there is one; without such a chain no assignment is more even.
   */
  even(): void {
    for (;;) {
      const chain = this.#chain();
      if (chain === undefined) return;
      for (const [shard, node] of chain) this.#give(shard, node);
    }
  }

  #give(shard: ShardId, node: NodeId): void {
    const before = this.leaders.get(shard);
    if (before !== undefined) this.#count.set(before, this.#countOf(before) - 1);
    this.leaders.set(shard, node);
    this.#count.set(node, this.#countOf(node) + 1);
  }

  #countOf(node: NodeId): number {
    return this.#count.get(node)!;
  }

  #least(nodes: readonly NodeId[]): NodeId {
    return nodes.reduce((best, node) => (this.#countOf(node) < this.#countOf(best) ? node : best));
  }

  #chain(): [ShardId, NodeId][] | undefined {
    const busiest = [...this.#count.keys()].sort(
      (left, right) => this.#countOf(right) - this.#countOf(left) || left - right,
    );
    for (const from of busiest) {
      const chain = this.#chainFrom(from);
      if (chain !== undefined) return chain;
    }
    return undefined;
  }

  /** Breadth first, so that the fewest shards change hands. */
  #chainFrom(from: NodeId): [ShardId, NodeId][] | undefined {
    const reachedBy = new Map<NodeId, [ShardId, NodeId] | undefined>([[from, undefined]]);
    for (const node of reachedBy.keys()) {
      if (this.#countOf(from) - this.#countOf(node) >= 2) return this.#walkBack(node, reachedBy);
      for (const [shard, leader] of this.leaders) {
        if (leader !== node) continue;
        for (const next of this.#voters.get(shard)!) {
          if (!reachedBy.has(next)) reachedBy.set(next, [shard, node]);
        }
      }
    }
    return undefined;
  }

  #walkBack(
    end: NodeId,
    reachedBy: ReadonlyMap<NodeId, [ShardId, NodeId] | undefined>,
  ): [ShardId, NodeId][] {
    const chain: [ShardId, NodeId][] = [];
    let node = end;
    for (let step = reachedBy.get(node); step !== undefined; step = reachedBy.get(node)) {
      chain.push([step[0], node]);
      node = step[1];
    }
    return chain;
  }
}
