/**
 * Which nodes hold which shards: a pure function of the members and of what they hold already, so
 * that every replica of the metadata shard comes to the same plan. Nothing moves without need: a
 * replica goes when its node goes, or when another node holds at least two fewer.
 */
import assert from 'node:assert';
import type { NodeId, ShardId } from '../../raft/types.ts';

export interface ReplicaPlanInput {
  /** Ascending; those that replicas may be on. */
  readonly nodes: readonly NodeId[];
  readonly replicationFactor: number;
  /** Where the replicas of each data shard are now, ascending by shard. */
  readonly held: ReadonlyMap<ShardId, readonly NodeId[]>;
}

/** Nodes per shard, ascending. Loads of two nodes differ by at most one replica. */
export function planReplicas(input: ReplicaPlanInput): Map<ShardId, NodeId[]> {
  assert(input.nodes.length > 0, 'a plan needs a node');
  const draft = new Draft(input);
  draft.dropExtra();
  draft.fill();
  draft.balance();
  return draft.result();
}

interface Move {
  readonly shard: ShardId;
  readonly from: NodeId;
  readonly to: NodeId;
}

class Draft {
  readonly #nodes: readonly NodeId[];
  readonly #copies: number;
  readonly #before: ReadonlyMap<ShardId, readonly NodeId[]>;
  readonly #shards = new Map<ShardId, Set<NodeId>>();
  readonly #load = new Map<NodeId, number>();

  constructor({ nodes, replicationFactor, held }: ReplicaPlanInput) {
    this.#nodes = nodes;
    this.#copies = Math.min(replicationFactor, nodes.length);
    this.#before = held;
    for (const node of nodes) this.#load.set(node, 0);
    for (const [shard, before] of held) {
      this.#shards.set(shard, new Set());
      for (const node of before) if (this.#load.has(node)) this.#put(shard, node);
    }
  }

  dropExtra(): void {
    for (const [shard, nodes] of this.#shards) {
      while (nodes.size > this.#copies) this.#take(shard, this.#heaviest(nodes));
    }
  }

  fill(): void {
    for (const [shard, nodes] of this.#shards) {
      while (nodes.size < this.#copies) this.#put(shard, this.#lightestOutside(nodes));
    }
  }

  /**
   * While two loads differ by two or more, one replica moves from the heaviest to the lightest
   * node, over others where that makes fewer new replicas. A way always exists: the heavier node
   * holds more shards, so at least one that the lighter does not.
   */
  balance(): void {
    for (;;) {
      const from = this.#heaviest(this.#nodes);
      const to = this.#lightest(this.#nodes);
      if (this.#loadOf(from) - this.#loadOf(to) < 2) return;
      for (const { shard, from: source, to: target } of this.#cheapestWay(from, to)) {
        this.#take(shard, source);
        this.#put(shard, target);
      }
    }
  }

  result(): Map<ShardId, NodeId[]> {
    const sorted = (nodes: Set<NodeId>) => [...nodes].sort((left, right) => left - right);
    return new Map([...this.#shards].map(([shard, nodes]) => [shard, sorted(nodes)]));
  }

  /** Shortest paths with steps of cost 0 and 1: what this very plan placed is moved for free. */
  #cheapestWay(from: NodeId, to: NodeId): readonly Move[] {
    const ways = new Map<NodeId, { cost: number; moves: readonly Move[] }>();
    const open = [{ node: from, cost: 0, moves: [] as readonly Move[] }];
    for (let next = open.shift(); next !== undefined; next = open.shift()) {
      const { node, cost, moves } = next;
      if (ways.has(node)) continue;
      ways.set(node, { cost, moves });
      for (const target of this.#nodes) {
        const step = ways.has(target) ? undefined : this.#movable(node, target);
        if (step === undefined) continue;
        const reached = { node: target, cost: cost + step.cost, moves: [...moves, step.move] };
        if (step.cost === 0) open.unshift(reached);
        else open.push(reached);
      }
    }
    const way = ways.get(to);
    assert(way !== undefined, 'the heavier node holds a shard that the lighter does not');
    return way.moves;
  }

  #movable(from: NodeId, to: NodeId): { move: Move; cost: 0 | 1 } | undefined {
    let found: Move | undefined;
    for (const [shard, nodes] of this.#shards) {
      if (!nodes.has(from) || nodes.has(to)) continue;
      const before = this.#before.get(shard)!;
      const move = { shard, from, to };
      if (!before.includes(from) || before.includes(to)) return { move, cost: 0 };
      found ??= move;
    }
    return found === undefined ? undefined : { move: found, cost: 1 };
  }

  #put(shard: ShardId, node: NodeId): void {
    const nodes = this.#shards.get(shard)!;
    if (nodes.has(node)) return;
    nodes.add(node);
    this.#load.set(node, this.#loadOf(node) + 1);
  }

  #take(shard: ShardId, node: NodeId): void {
    assert(this.#shards.get(shard)!.delete(node), 'what is taken away was there');
    this.#load.set(node, this.#loadOf(node) - 1);
  }

  #loadOf(node: NodeId): number {
    return this.#load.get(node)!;
  }

  /** Of equals the first. */
  #heaviest(nodes: Iterable<NodeId>): NodeId {
    let best: NodeId | undefined;
    for (const node of nodes) {
      if (best === undefined || this.#loadOf(node) > this.#loadOf(best)) best = node;
    }
    return best!;
  }

  #lightest(nodes: Iterable<NodeId>): NodeId {
    let best: NodeId | undefined;
    for (const node of nodes) {
      if (best === undefined || this.#loadOf(node) < this.#loadOf(best)) best = node;
    }
    return best!;
  }

  #lightestOutside(taken: ReadonlySet<NodeId>): NodeId {
    return this.#lightest(this.#nodes.filter((node) => !taken.has(node)));
  }
}

/** More voters would slow every metadata write and add little safety. */
export const META_VOTERS_MAX = 5;

export interface MetaPlan {
  readonly voters: readonly NodeId[];
  /** Every node needs the metadata: those beyond the voters hold it as learners. */
  readonly learners: readonly NodeId[];
}

/** Voters stay voters; the lowest of the others fill up. */
export function planMeta(nodes: readonly NodeId[], voters: readonly NodeId[]): MetaPlan {
  const kept = nodes.filter((node) => voters.includes(node)).slice(0, META_VOTERS_MAX);
  const others = nodes.filter((node) => !kept.includes(node));
  const added = others.slice(0, META_VOTERS_MAX - kept.length);
  const chosen = [...kept, ...added].sort((left, right) => left - right);
  return { voters: chosen, learners: nodes.filter((node) => !chosen.includes(node)) };
}
