/**
 * Which node to ask for a shard. Where this node has a replica, its own word counts. Where it has
 * none, the metadata names the nodes that do: first who should lead, then whoever was named by a
 * node that denied it, then the others in turn.
 */
import type { NodeId, ShardId } from '../raft/types.ts';
import type { ShardHost } from './shards/api.ts';

interface Guess {
  readonly leader: NodeId | undefined;
  /** Nodes that were asked in vain since then, within one pause. */
  readonly tries: number;
  readonly sinceMs: number;
}

export class ShardGuide {
  readonly #host: ShardHost;
  readonly #nowMs: () => number;
  readonly #pauseMs: number;
  /** Bounded: one per shard. */
  readonly #guesses = new Map<ShardId, Guess>();

  /** In `pauseMs` every node is asked at most once in vain. */
  constructor(host: ShardHost, nowMs: () => number, pauseMs: number) {
    this.#host = host;
    this.#nowMs = nowMs;
    this.#pauseMs = pauseMs;
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
    this.#guesses.set(shard, { leader: node, tries: 0, sinceMs: 0 });
  }

  /**
   * The node does not lead, or was not reached. True: the guess moved on, and somebody else is
   * worth a try at once; false: it moved before, or all were asked and only time helps. (Else calls
   * that fail within a turn of the event loop would go round in it for ever.)
   */
  denied(shard: ShardId, node: NodeId, named: NodeId | undefined): boolean {
    if (node !== this.leaderOf(shard)) return false;
    const candidates = this.#candidates(shard);
    const next = candidates[(candidates.indexOf(node) + 1) % Math.max(1, candidates.length)];
    const isNews = named !== undefined && named !== node && named !== this.#host.node;
    const nowMs = this.#nowMs();
    const known = this.#guesses.get(shard);
    const isSameTry = known !== undefined && nowMs - known.sinceMs < this.#pauseMs;
    const tries = isSameTry ? known.tries + 1 : 1;
    const sinceMs = isSameTry ? known.sinceMs : nowMs;
    this.#guesses.set(shard, { leader: isNews ? named : next, tries, sinceMs });
    return tries <= candidates.length;
  }

  #candidates(shard: ShardId): readonly NodeId[] {
    const placement = this.#host.meta().placement(shard);
    if (placement === undefined) return [];
    const { leader, leaving, voters } = placement;
    const holders = [leader, ...voters.map(({ node }) => node), ...leaving.map(({ node }) => node)];
    return [...new Set(holders)].filter((node) => node !== this.#host.node);
  }
}
