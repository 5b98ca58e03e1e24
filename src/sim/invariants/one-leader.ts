/** Election safety (paper figure 3): at most one leader per term. */
import type { NodeId, ShardId, Term } from '../../../raft/types.ts';
import { expect } from '../failure.ts';

export class OneLeaderPerTerm {
  readonly #leaders = new Map<string, NodeId>();

  leads(shard: ShardId, term: Term, node: NodeId): void {
    const key = `${shard}/${term}`;
    const known = this.#leaders.get(key) ?? node;
    expect(known === node, 'one-leader', () => `shard ${shard} term ${term}: ${known}, ${node}`);
    this.#leaders.set(key, node);
  }

  get count(): number {
    return this.#leaders.size;
  }
}
