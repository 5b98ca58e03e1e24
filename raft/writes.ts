/**
 * From what changed to what the store gets. The order inside one write: the shard's facts first
 * (term and vote before entries of that term), then entries.
 */
import type { PromisingMessage, Written } from './messages.ts';
import type { LogRecord } from './ports.ts';
import type { PendingWrite } from './ready.ts';
import type { RaftState } from './state.ts';
import type { HardState, LogIndex, ShardState } from './types.ts';

/** The next write, if there is anything; messages that wait are tied to it or to an earlier one. */
export function takeWrite(state: RaftState): PendingWrite | undefined {
  const afterDurable = state.out.takeAfterDurable();
  const afterWritten = state.out.takeAfterWritten();
  const records: LogRecord[] = [];
  const hardState = maybeStateRecord(state, records);
  const repaired = takeRepairs(state, records);
  takeEntries(state, records);
  if (records.length === 0) {
    waitForEarlierWrites(state, afterDurable, afterWritten);
    return undefined;
  }
  const write: PendingWrite = {
    records,
    wantsWritten: state.wantsWritten,
    lastIndex: state.log.handed,
    hardState,
    repaired,
    afterWritten,
    afterDurable,
    isWritten: false,
  };
  state.wantsWritten = false;
  state.pendingWrites.push(write);
  return write;
}

/** Term and vote force a record; the commit index only ever comes along. */
function maybeStateRecord(state: RaftState, records: LogRecord[]): HardState | undefined {
  const { handedState, log } = state;
  const hasVoteChange = handedState.term !== state.term || handedState.vote !== state.vote;
  const hasEntries = log.handed < log.lastIndex;
  const isCommitStale = log.commit - handedState.commit >= state.settings.maxCommitLag;
  const mustWrite = state.mustWriteState || state.mustReset;
  if (!hasVoteChange && !mustWrite && !(hasEntries && isCommitStale)) return undefined;
  // A commit index must not be found ahead of the entries after a crash.
  const commit = Math.max(handedState.commit, Math.min(log.commit, log.handed));
  const hardState: HardState = { term: state.term, vote: state.vote, commit };
  state.handedState = hardState;
  const kind = state.mustReset ? 'reset' : 'state';
  state.mustWriteState = false;
  state.mustReset = false;
  const facts: ShardState = {
    hardState,
    replica: state.self,
    logStart: log.start,
    membership: state.membership.first,
    ...(state.isSuspect ? { suspect: true } : {}),
  };
  records.push({ kind, shard: state.shard, state: facts });
  return hardState;
}

/** Only of entries that are still damaged: what was truncated since must not come back. */
function takeRepairs(state: RaftState, records: LogRecord[]): LogIndex[] {
  const taken: LogIndex[] = [];
  for (const [index, entry] of state.repairs) {
    if (state.damaged.get(index) !== entry.term) continue;
    records.push({ kind: 'repair', shard: state.shard, entry });
    taken.push(index);
  }
  state.repairs.clear();
  return taken;
}

function takeEntries(state: RaftState, records: LogRecord[]): void {
  const { log, shard } = state;
  for (let index = log.handed + 1; index <= log.lastIndex; index++) {
    records.push({ kind: 'entry', shard, entry: log.entry(index)! });
  }
  log.handedTo(log.lastIndex);
}

function waitForEarlierWrites(
  state: RaftState,
  afterDurable: readonly PromisingMessage[],
  afterWritten: readonly Written[],
): void {
  const last = state.pendingWrites.at(-1);
  if (last === undefined) {
    state.out.release(afterWritten);
    state.out.release(afterDurable);
    return;
  }
  if (last.isWritten) state.out.release(afterWritten);
  // A write that nobody asked to be told about early will answer with its durable reply.
  else if (last.wantsWritten) last.afterWritten.push(...afterWritten);
  last.afterDurable.push(...afterDurable);
}
