/** Paper 5.4.2: a leader moves its commit index only onto entries of its own term. */
import type { LogIndex, NodeId, ShardId, Term } from '../../../raft/types.ts';
import { expect } from '../failure.ts';

interface Elected {
  readonly term: Term;
  /** What it knew committed when it was elected, whoever had committed it. */
  readonly commit: LogIndex;
}

export class OwnTermCommits {
  readonly #elected = new Map<string, Elected>();

  leads(shard: ShardId, node: NodeId, term: Term, commit: LogIndex): void {
    this.#elected.set(`${shard}/${node}`, { term, commit });
  }

  committed(
    shard: ShardId,
    node: NodeId,
    term: Term,
    commit: LogIndex,
    commitTerm: Term | undefined,
  ): void {
    const elected = this.#elected.get(`${shard}/${node}`);
    if (elected === undefined || elected.term !== term || commit <= elected.commit) return;
    const isOwn = commitTerm === undefined || commitTerm === term;
    expect(isOwn, 'own-term-commit', () => `${node} in ${term}: ${commit} of ${commitTerm}`);
  }
}
