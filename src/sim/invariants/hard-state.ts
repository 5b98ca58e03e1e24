/**
 * Persistent state (paper figure 2, reliability P21): what is durable of a replica never falls back
 * to an older term, never votes again in a term, over restarts too; and within one life of a
 * process the commit index never falls.
 */
import type { HardState, LogIndex, ReplicaId, Term } from '../../../raft/types.ts';
import { expect } from '../failure.ts';
import { type Place, placeKey } from './views.ts';

interface Durable {
  readonly replica: ReplicaId;
  readonly term: Term;
  readonly vote: ReplicaId;
}

export class HardStateOnlyRises {
  readonly #durable = new Map<string, Durable>();
  readonly #commits = new Map<string, LogIndex>();

  durable(place: Place, replica: ReplicaId, { term, vote }: HardState): void {
    const key = placeKey(place);
    const before = this.#durable.get(key);
    // Another replica id is another member: it begins anew.
    if (before?.replica === replica) {
      const kept = () => `${key}: ${before.term}/${before.vote}, now ${term}/${vote}`;
      expect(term >= before.term, 'term-never-falls', kept);
      const isKept = term > before.term || before.vote === 0 || before.vote === vote;
      expect(isKept, 'vote-stays', kept);
      if (before.term === term && before.vote === vote) return;
    }
    this.#durable.set(key, { replica, term, vote });
  }

  commits(place: Place, commit: LogIndex): void {
    const key = placeKey(place);
    const before = this.#commits.get(key) ?? 0;
    expect(commit >= before, 'commit-never-falls', () => `${key}: ${before}, now ${commit}`);
    this.#commits.set(key, commit);
  }

  /** The process ended: the commit index is volatile (paper figure 2). */
  ended(place: Place): void {
    this.#commits.delete(placeKey(place));
  }
}
