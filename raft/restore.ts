/** A snapshot takes the place of what a follower lacks, or has wrong (paper section 7). */
import { strict as assert } from 'node:assert';
import { forgetGone, isDamagedUpTo } from './damage.ts';
import type { RestoredShard } from './ports.ts';
import type { RaftState } from './state.ts';
import type { EntryId, LogIndex, Membership, ShardTimeMs } from './types.ts';

/** `trimmed`: only the start of the log moved, the state is ahead of the snapshot. */
export type Restoration = 'useless' | 'trimmed' | 'restored';

/** What is not committed here yet, or has an entry before it that is damaged. */
export function lacks(state: RaftState, index: LogIndex): boolean {
  return index > state.log.commit || isDamagedUpTo(state, index);
}

/**
 * Unless it is useless (any more) everything through `id` is committed and applied here, as soon as
 * the caller has swapped the state. Whether it is durable, `durable` says. Whoever sent it need not
 * lead: what a checkpoint covers is committed, in a term no later than its sender's, and the caller
 * has seen to it that this replica's term is no earlier. So all leaders to come have `id` as well.
 */
export function restore(state: RaftState, { id, membership, timeMs }: RestoredShard): Restoration {
  const { log } = state;
  // A leader has every committed entry itself; a suspect replica is past help.
  if (state.role !== 'follower' || state.isSuspect || !lacks(state, id.index)) return 'useless';
  const mayKeep = log.matches(id.index, id.term) && log.durable >= id.index;
  if (!mayKeep && id.index <= log.commit) return 'useless';
  if (!mayKeep) {
    replaceLog(state, id, membership, timeMs);
    return 'restored';
  }
  const isNew = id.index > log.applied;
  if (isNew) log.jumpTo(id);
  else log.setStart(id);
  state.membership.startAt(id.index);
  state.mustWriteState = true;
  forgetGone(state);
  return isNew ? 'restored' : 'trimmed';
}

function replaceLog(
  state: RaftState,
  id: EntryId,
  membership: Membership,
  timeMs: ShardTimeMs,
): void {
  state.log.replaceBy(id, timeMs);
  state.membership.replaceBy(id.index, membership);
  forgetPromises(state);
  forgetGone(state);
  state.mustReset = true;
  // What the leader proved beyond the snapshot is gone with the rest.
  state.verifiedIndex = id.index;
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
