/**
 * Which node to ask for a shard. Where this node has a replica, its own word counts. Where it has
 * none, the metadata names the nodes that do: first who should lead, then whoever was named by a
 * node that denied it, then the others in turn.
 */
import type { NodeId, ShardId } from '../raft/types.ts';
import type { ShardHost } from './shards/api.ts';

interface Guess {
  readonly leader: NodeId | undefined;
  /** In a row. */
  readonly denials: number;
}

const NOBODY: Guess = { leader: undefined, denials: 0 };

export class ShardGuide {
  readonly #host: ShardHost;
  /** Bounded: one per shard. */
  readonly #guesses = new Map<ShardId, Guess>();

  constructor(host: ShardHost) {
    this.#host = host;
  }

  /** A replica that is on its way out hears of no leader any more. */
  isRemote(shard: ShardId): boolean {
    if (!this.#host.holds(shard)) return true;
    const placement = this.#host.meta().placement(shard);
    if (placement === undefined) return false;
    const stays = [...placement.voters, ...placement.learners];
    return !stays.some(({ node }) => node === this.#host.node);
  }

  leaderOf(shard: ShardId): NodeId | undefined {
    const known = this.#host.leaderOf(shard);
    if (!this.isRemote(shard)) return known;
    return this.#guesses.get(shard)?.leader ?? this.#candidates(shard)[0];
  }

  answered(shard: ShardId, node: NodeId): void {
    this.#guesses.set(shard, { leader: node, denials: 0 });
  }

  /**
   * The node does not lead, or was not reached. True: somebody else is worth a try at once; false:
   * all were asked, only time helps.
   */
  denied(shard: ShardId, node: NodeId, named: NodeId | undefined): boolean {
    const candidates = this.#candidates(shard);
    const { denials } = this.#guesses.get(shard) ?? NOBODY;
    const next = candidates[(candidates.indexOf(node) + 1) % Math.max(1, candidates.length)];
    const isNews = named !== undefined && named !== node && named !== this.#host.node;
    const isWorthIt = denials < candidates.length;
    this.#guesses.set(shard, {
      leader: isNews ? named : next,
      denials: isWorthIt ? denials + 1 : 0,
    });
    return isWorthIt;
  }

  #candidates(shard: ShardId): readonly NodeId[] {
    const placement = this.#host.meta().placement(shard);
    if (placement === undefined) return [];
    const { leader, leaving, voters } = placement;
    const holders = [leader, ...voters.map(({ node }) => node), ...leaving.map(({ node }) => node)];
    return [...new Set(holders)].filter((node) => node !== this.#host.node);
  }
}
