/** Leader append-only (paper figure 3): a leader never overwrites or deletes entries of its log. */
import type { Entry, LogIndex, Term } from '../../../raft/types.ts';
import { expect } from '../failure.ts';
import { type LogView, type Place, placeKey } from './views.ts';

interface Seen {
  readonly term: Term;
  readonly last: LogIndex;
  readonly entry: Entry | undefined;
}

export class LeaderAppendOnly {
  readonly #seen = new Map<string, Seen>();

  /** Whenever the log of a replica that leads in `term` is looked at. */
  looks(place: Place, term: Term, log: LogView): void {
    const key = placeKey(place);
    const seen = this.#seen.get(key);
    const last = log.lastIndex;
    if (seen?.term === term) {
      const isKept = last >= seen.last && isSame(log, seen);
      expect(isKept, 'leader-append-only', () => `${key} in ${term}: ${seen.last}, now ${last}`);
    }
    this.#seen.set(key, { term, last, entry: log.entry(last) });
  }

  /** What a process that ended had in memory only is no deletion. */
  ended(place: Place): void {
    this.#seen.delete(placeKey(place));
  }
}

function isSame(log: LogView, { last, entry }: Seen): boolean {
  return last <= log.base || entry === undefined || log.entry(last)?.term === entry.term;
}
