/** Counts, by shard, how often leadership changed as this node saw it. */
import type { NodeId, ShardId } from '../../raft/types.ts';
import type { ShardHost } from '../shards/api.ts';

export interface Leadership {
  /** Another leader than before, or one after there was none. */
  readonly changes: number;
  /** Of those, this node's own: it led, and had applied an entry of its term. */
  readonly won: number;
}

interface Seen {
  leader: NodeId | undefined;
  isReady: boolean;
  changes: number;
  won: number;
}

export class Leaderships {
  readonly #host: Pick<ShardHost, 'isReady' | 'leaderOf' | 'onLeadership'>;
  readonly #seen = new Map<ShardId, Seen>();
  readonly #unsubscribe: () => void;

  constructor(host: Pick<ShardHost, 'isReady' | 'leaderOf' | 'onLeadership'>) {
    this.#host = host;
    this.#unsubscribe = host.onLeadership((shard) => this.#look(shard));
  }

  of(shard: ShardId): Leadership {
    return this.#seen.get(shard) ?? { changes: 0, won: 0 };
  }

  close(): void {
    this.#unsubscribe();
  }

  #look(shard: ShardId): void {
    const seen = this.#seenOf(shard);
    const leader = this.#host.leaderOf(shard);
    const isReady = this.#host.isReady(shard);
    if (leader !== undefined && leader !== seen.leader) seen.changes += 1;
    if (isReady && !seen.isReady) seen.won += 1;
    seen.leader = leader;
    seen.isReady = isReady;
  }

  #seenOf(shard: ShardId): Seen {
    const known = this.#seen.get(shard);
    if (known !== undefined) return known;
    const seen: Seen = { leader: undefined, isReady: false, changes: 0, won: 0 };
    this.#seen.set(shard, seen);
    return seen;
  }
}
