/** Assertions on a whole replica, on in production: a broken one ends the process. */
import { strict as assert } from 'node:assert';
import { isVoter } from './quorum.ts';
import type { RaftState } from './state.ts';

/** Called at every `ready()`; the sources are named beside each line. */
export function assertReplica(state: RaftState): void {
  state.log.assertPointers();
  // Paper 5.1: a term is seen before its entries are.
  assert(state.term >= state.log.lastTerm, "the current term is at least the last entry's");
  // Paper figure 2: only voters stand for election.
  if (state.role === 'candidate') assert(state.vote === state.self, 'a candidate votes for itself');
  if (state.role === 'leader') assertLeader(state);
}

function assertLeader(state: RaftState): void {
  assert(state.leader === state.self, 'a leader knows that it leads');
  assert(state.durableState.term === state.term, "a leader's term is durable");
  assert(state.reign !== undefined, 'a leader has a reign');
  // Thesis 4.2.2: one that removes itself leads on until that is committed.
  const isLeaving = state.membership.lastIndex > state.log.commit;
  assert(isLeaving || isVoter(state.config, state.self), 'only voters lead');
}
