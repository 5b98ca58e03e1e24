/** Paper 5.4.2 and figure 8: a leader moves its commit index only onto entries of its own term. */
import type { LogIndex, Term } from '../../../raft/types.ts';
import { expect } from '../failure.ts';
import { type Place, placeKey } from './views.ts';

interface Elected {
  readonly term: Term;
  /** What it knew committed when it was elected, whoever had committed it. */
  readonly commit: LogIndex;
}

export class OwnTermCommits {
  readonly #elected = new Map<string, Elected>();

  leads(place: Place, term: Term, commit: LogIndex): void {
    this.#elected.set(placeKey(place), { term, commit });
  }

  committed(place: Place, term: Term, commit: LogIndex, commitTerm: Term | undefined): void {
    const elected = this.#elected.get(placeKey(place));
    if (elected === undefined || elected.term !== term || commit <= elected.commit) return;
    const isOwn = commitTerm === undefined || commitTerm === term;
    expect(isOwn, 'own-term-commit', () => `${place.node} in ${term}: ${commit} of ${commitTerm}`);
  }
}
