/**
 * Election safety (paper figure 3; reliability P21): at most one leader per term, and it was
 * elected by a majority of voters (of both halves in a joint configuration): learners and removed
 * replicas count for nothing.
 */
import type { PeerMessage } from '../../../raft/messages.ts';
import type { Configuration, NodeId, ReplicaId, ShardId, Term } from '../../../raft/types.ts';
import { expect } from '../failure.ts';
import { isQuorum } from './views.ts';

export class ElectionSafety {
  readonly #leaders = new Map<string, NodeId>();
  /** Votes that were sent, by (shard, term, candidate). */
  readonly #votes = new Map<string, Set<ReplicaId>>();

  sent(message: PeerMessage): void {
    if (message.type !== 'voteReply' || !message.granted) return;
    const { shard, term, from, to } = message;
    const key = `${shard}/${term}/${to}`;
    const votes = this.#votes.get(key);
    if (votes === undefined) this.#votes.set(key, new Set([from]));
    else votes.add(from);
  }

  leads(shard: ShardId, term: Term, node: NodeId, self: ReplicaId, config: Configuration): void {
    const key = `${shard}/${term}`;
    const known = this.#leaders.get(key) ?? node;
    expect(known === node, 'one-leader', () => `shard ${shard} term ${term}: ${known}, ${node}`);
    this.#leaders.set(key, node);
    const votes = new Set(this.#votes.get(`${key}/${self}`)).add(self);
    const lack = () => `shard ${shard} term ${term}: ${self} with the votes of ${[...votes]}`;
    expect(isQuorum(config, votes), 'elected-by-quorum', lack);
  }

  get count(): number {
    return this.#leaders.size;
  }
}
