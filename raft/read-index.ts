/**
 * Linearisable reads without a log entry (thesis 6.4). A read is served at the commit index of its
 * start, after (1) an entry of the leader's own term is committed, and (2) a quorum confirmed a
 * heartbeat round that *started after* the read arrived. A round that is already on its way proves
 * nothing for it: a reply may have been sent before another leader was elected.
 */
import { broadcastHeartbeat } from './heartbeat.ts';
import { committedIndex } from './quorum.ts';
import type { ConfirmedRead } from './ready.ts';
import type { RaftState, Reign } from './state.ts';
import type { LogIndex } from './types.ts';

interface StartedReads {
  readonly round: number;
  readonly index: LogIndex;
  readonly ids: readonly number[];
}

export class ReadQueue {
  requested: number[] = [];
  started: StartedReads[] = [];
  confirmed: ConfirmedRead[] = [];
  count = 0;

  request(id: number): void {
    this.requested.push(id);
    this.count++;
  }

  takeConfirmed(): readonly ConfirmedRead[] {
    const taken = this.confirmed;
    this.confirmed = [];
    this.count -= taken.length;
    return taken;
  }

  all(): number[] {
    const started = this.started.flatMap(({ ids }) => ids);
    return [...this.requested, ...started, ...this.confirmed.map(({ id }) => id)];
  }
}

function hasCommittedOwnTerm(state: RaftState, reign: Reign): boolean {
  return state.log.commit >= reign.firstIndex;
}

/** One fresh round for all reads that arrived since the last `ready()`. */
export function startReads(state: RaftState, reign: Reign): void {
  const { reads } = reign;
  if (reads.requested.length === 0 || !hasCommittedOwnTerm(state, reign)) return;
  const ids = reads.requested;
  reads.requested = [];
  broadcastHeartbeat(state, reign, false);
  reads.started.push({ round: reign.round, index: state.log.commit, ids });
  confirmReads(state, reign);
}

/** Called when a follower confirmed a round. */
export function confirmReads(state: RaftState, reign: Reign): void {
  const { reads } = reign;
  if (reads.started.length === 0) return;
  const confirmedRound = committedIndex(state.config, reign.rounds);
  while (reads.started.length > 0 && reads.started[0]!.round <= confirmedRound) {
    const { ids, index } = reads.started.shift()!;
    for (const id of ids) reads.confirmed.push({ id, index });
  }
}
