/**
 * Entries whose bodies are damaged on this disk (internals rule 2). Their index and term are
 * certain, so this replica may vote and follow; it neither campaigns nor leads until another
 * replica has sent the bodies again.
 */
import { becomeFollower } from './election.ts';
import { abdicate } from './reconfigure.ts';
import type { RaftState } from './state.ts';
import type { Entry, EntryId, LogIndex } from './types.ts';

/** False: it is no entry of this log, or is known already. */
export function noteDamage(state: RaftState, { index, term }: EntryId): boolean {
  const { log, damaged } = state;
  if (index <= log.start.index || !log.matches(index, term) || damaged.has(index)) return false;
  damaged.set(index, term);
  if (state.reign !== undefined) abdicate(state, state.reign);
  else if (state.role !== 'follower') becomeFollower(state, state.term, 0);
  return true;
}

export function isDamagedUpTo({ damaged }: RaftState, index: LogIndex): boolean {
  for (const at of damaged.keys()) if (at <= index) return true;
  return false;
}

/** What left the log is nobody's loss any more. */
export function forgetGone(state: RaftState): void {
  const { log, damaged } = state;
  for (const [index, term] of damaged) {
    if (index <= log.start.index || !log.matches(index, term)) damaged.delete(index);
  }
}

/** The same entry, intact; one that nobody waits for is ignored. */
export function repair(state: RaftState, entry: Entry): void {
  if (state.damaged.get(entry.index) === entry.term) state.repairs.set(entry.index, entry);
}

export function repaired(state: RaftState, indexes: readonly LogIndex[]): void {
  for (const index of indexes) state.damaged.delete(index);
}
