/** The leader's side of log replication (paper 5.3): what to send, and what answers mean. */
import { strict as assert } from 'node:assert';
import { entryBytes } from './log.ts';
import type { AppendReply, HeartbeatReply, Written } from './messages.ts';
import type { Progress } from './progress.ts';
import { committedIndex } from './quorum.ts';
import type { LoadRequest } from './ready.ts';
import type { RaftState, Reign } from './state.ts';
import type { Entry, EntryType, LogIndex, NodeId } from './types.ts';
import { hearClock, nextTimeMs } from './voter-clocks.ts';

export interface CommandBody {
  readonly head: Uint8Array;
  readonly payload: Uint8Array;
  readonly bodyCrc: number;
}

/** Appends to the leader's own log. Sending and writing both happen at `ready()`, in parallel. */
export function appendOwn(state: RaftState, type: EntryType, body: CommandBody): Entry {
  const { log, reign } = state;
  assert(reign !== undefined, 'only leaders append on their own');
  assert(log.lastTimeMs !== undefined, 'the time of the last entry is known before leading');
  const entry: Entry = {
    index: log.lastIndex + 1,
    term: state.term,
    type,
    timeMs: nextTimeMs(state),
    head: body.head,
    payload: body.payload,
    bodyCrc: body.bodyCrc,
  };
  log.append(entry);
  state.time.appended(entry.timeMs, state.nowMs);
  reign.uncommittedBytes += entryBytes(entry);
  return entry;
}

/** Sends every follower what it may get now. Called once per `ready()`: entries gather by then. */
export function replicateToAll(state: RaftState, reign: Reign): void {
  for (const progress of reign.progress.values()) replicateTo(state, reign, progress);
}

function replicateTo(state: RaftState, reign: Reign, progress: Progress): void {
  const { log, settings } = state;
  while (progress.canSend) {
    if (progress.state === 'replicate' && progress.next > log.lastIndex) return;
    if (progress.next <= log.start.index) {
      progress.state = 'snapshot';
      return;
    }
    if (progress.next < log.windowFirst) {
      requestLoad(state, progress);
      return;
    }
    const entries = log.slice(progress.next, log.lastIndex, settings.maxAppendBytes);
    sendAppend(state, reign, progress, entries);
  }
}

function requestLoad(state: RaftState, progress: Progress): void {
  progress.loading = true;
  state.out.load({
    peer: progress.replica,
    term: state.term,
    from: progress.next,
    to: state.log.windowFirst - 1,
    maxBytes: state.settings.maxAppendBytes,
  });
}

/** Entries that the store was asked for. Empty: they are below the log's start by now. */
export function handleLoaded(
  state: RaftState,
  request: LoadRequest,
  entries: readonly Entry[],
): void {
  const { reign } = state;
  if (reign === undefined || request.term !== state.term) return;
  const progress = reign.progress.get(request.peer);
  if (progress === undefined || !progress.loading) return;
  progress.loading = false;
  const first = entries[0];
  if (first === undefined || first.index !== progress.next || !progress.canSend) return;
  // The log's start moved while they were read: what this peer needs is the snapshot there.
  if (first.index <= state.log.start.index) return;
  // A leader never truncates, so what was read is still its log.
  assert(state.log.matches(first.index, first.term), "loaded entries are the log's");
  progress.loadedTo = first.index + entries.length - 1;
  sendAppend(state, reign, progress, entries);
}

/** Read from the store for replicas on `node` and not acknowledged yet. */
export function loadedBytesTo(state: RaftState, node: NodeId): number {
  let bytes = 0;
  for (const { replica, loadedBytes } of state.reign?.progress.values() ?? []) {
    if (loadedBytes > 0 && state.membership.nodeOf(replica) === node) bytes += loadedBytes;
  }
  return bytes;
}

function sendAppend(
  state: RaftState,
  reign: Reign,
  progress: Progress,
  entries: readonly Entry[],
): void {
  const { log } = state;
  const prevIndex = progress.next - 1;
  const prevTerm = log.term(prevIndex);
  assert(prevTerm !== undefined, 'the entry before an append is known');
  state.out.send({
    type: 'append',
    shard: state.shard,
    from: state.self,
    to: progress.replica,
    term: state.term,
    prevIndex,
    prevTerm,
    commit: log.commit,
    wantsWritten: entries.length > 0 && prevIndex < reign.wantsWrittenTo,
    entries,
  });
  let bytes = 0;
  for (const entry of entries) bytes += entryBytes(entry);
  progress.sent(prevIndex + entries.length, bytes, state.nowMs);
}

export function handleAppendReply(state: RaftState, reign: Reign, reply: AppendReply): void {
  const progress = reign.progress.get(reply.from);
  if (progress === undefined) return;
  progress.contactMs = state.nowMs;
  progress.isKnown = true;
  if (!reply.success) {
    handleConflict(state, progress, reply);
    return;
  }
  assert(reply.matchIndex <= state.log.lastIndex, 'a follower acks only what this leader sent');
  const hadMatched = progress.match;
  progress.accepted(reply.matchIndex, state.nowMs);
  if (progress.match === hadMatched) return;
  reign.matched.set(reply.from, progress.match);
  markWritten(reign, reply.from, progress.match);
  maybeCommit(state, reign);
}

/**
 * Backtracking by term: one round trip per conflicting term, not per entry. Both sides' hints only
 * move `next` down, and never to or below what is known to match, so it ends.
 */
function handleConflict(state: RaftState, progress: Progress, reply: AppendReply): void {
  const rejected = reply.matchIndex;
  if (rejected <= progress.match) return;
  if (progress.state === 'probe' && rejected !== progress.next - 1) return;
  const next = Math.min(rejected, nextAfterConflict(state, reply));
  progress.becomeProbe(Math.max(1, next));
}

function nextAfterConflict(state: RaftState, reply: AppendReply): LogIndex {
  if (reply.conflictTerm === 0) return reply.lastIndex + 1;
  const candidate = state.log.lastIndexWithTermAtMost(reply.conflictTerm, reply.matchIndex);
  // We share the conflicting term: its last entry here may match. Otherwise skip all of it there.
  if (state.log.term(candidate) === reply.conflictTerm) return candidate + 1;
  return Math.min(reply.conflictIndex, candidate + 1);
}

/** Only entries of the current term are committed by counting (paper 5.4.2, figure 8). */
export function maybeCommit(state: RaftState, reign: Reign): void {
  const { log } = state;
  const index = committedIndex(state.config, reign.matched);
  if (index <= log.commit || !Number.isFinite(index)) return;
  if (log.term(index) !== state.term) return;
  for (let at = Math.max(log.commit + 1, reign.firstIndex); at <= index; at++) {
    const entry = log.entry(at);
    assert(entry !== undefined, 'uncommitted entries of this term are in memory');
    reign.uncommittedBytes -= entryBytes(entry);
  }
  log.commitTo(index);
}

export function markWritten(reign: Reign, replica: number, index: LogIndex): void {
  if (index > (reign.writtenMarks.get(replica) ?? 0)) reign.writtenMarks.set(replica, index);
}

export function handleWritten(reign: Reign, message: Written): void {
  if (reign.progress.has(message.from)) markWritten(reign, message.from, message.index);
}

/** A sign of life. A follower that lives but makes no progress has lost a message: send again. */
export function handleHeartbeatReply(
  state: RaftState,
  reign: Reign,
  reply: HeartbeatReply,
): boolean {
  const progress = reign.progress.get(reply.from);
  if (progress === undefined) return false;
  progress.contactMs = state.nowMs;
  progress.isKnown = true;
  progress.isSuspect = reply.suspect;
  healLostAppend(state, progress);
  if (reply.round <= (reign.rounds.get(reply.from) ?? 0)) return false;
  reign.rounds.set(reply.from, reply.round);
  hearClock(state, reply.from, reply.wallMs);
  return true;
}

function healLostAppend(state: RaftState, progress: Progress): void {
  const waits = progress.state === 'probe' ? progress.probeSent : progress.inflight.count > 0;
  if (!waits) return;
  if (state.nowMs - progress.waitingSinceMs < state.settings.heartbeatIntervalMs) return;
  progress.becomeProbe(progress.state === 'probe' ? progress.next : progress.match + 1);
}

/** Whatever was on its way when the connection broke is lost. */
export function probeAgain(progress: Progress): void {
  if (progress.state === 'snapshot') return;
  progress.becomeProbe(progress.state === 'probe' ? progress.next : progress.match + 1);
}
