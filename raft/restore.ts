/** A snapshot takes the place of what a follower lacks, or has wrong (paper section 7). */
import { strict as assert } from 'node:assert';
import type { RestoredShard } from './ports.ts';
import type { RaftState } from './state.ts';
import type { LogIndex } from './types.ts';

/**
 * What is not committed here yet, or cannot be applied: an entry in between is damaged, and maybe
 * gone from every other log.
 */
export function lacks({ log, damaged }: RaftState, index: LogIndex): boolean {
  if (index > log.commit) return true;
  return [...damaged.keys()].some((at) => at > log.applied && at <= index);
}

/**
 * False: of no use (any more), nothing changed. True: everything through `id` is committed and
 * applied here, as soon as the caller has swapped the state. Whether it is durable, `durable` says.
 */
export function restore(state: RaftState, { id, membership, timeMs }: RestoredShard): boolean {
  const { log } = state;
  // A leader has every committed entry itself; a suspect replica is past help.
  if (state.role !== 'follower' || state.isSuspect || !lacks(state, id.index)) return false;
  const mayKeep = log.matches(id.index, id.term) && log.durable >= id.index;
  if (!mayKeep && id.index <= log.commit) return false;
  if (mayKeep) {
    log.jumpTo(id);
    state.membership.startAt(id.index);
    state.mustWriteState = true;
  } else {
    log.replaceBy(id, timeMs);
    state.membership.replaceBy(id.index, membership);
    forgetPromises(state);
    state.mustReset = true;
    // What the leader proved beyond the snapshot is gone with the rest.
    state.verifiedIndex = id.index;
  }
  return true;
}

/**
 * Acknowledgements that wait for a write of the old log would reach the leader just before that
 * log is void: it must not count on them. It sends again what it has no answer for.
 */
function forgetPromises(state: RaftState): void {
  state.out.forgetAcks();
  for (const write of state.pendingWrites) {
    write.lastIndex = 0;
    write.afterWritten.length = 0;
    const kept = write.afterDurable.filter(({ type }) => type !== 'appendReply');
    write.afterDurable.splice(0, write.afterDurable.length, ...kept);
  }
  assert(state.reign === undefined, 'only followers take snapshots');
}
