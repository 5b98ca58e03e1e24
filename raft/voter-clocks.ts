/**
 * What a replica knows of its voters' wall clocks, and the time that it gives to an entry by them
 * (internals rule 10). Whoever grants a vote tells its clock: a leader begins with a quorum's, so
 * that its first entry is not given a time from long ago, and it goes on with what heartbeat
 * replies and signs of life tell.
 */
import { medianClock } from './shard-time.ts';
import type { RaftState } from './state.ts';
import type { ReplicaId, ShardTimeMs } from './types.ts';

export function hearClock(state: RaftState, voter: ReplicaId, wallMs: ShardTimeMs): void {
  const node = state.membership.nodeOf(voter);
  if (node !== undefined) state.clocks.heard(node, wallMs, state.nowMs);
}

/** The median of the voters' wall clocks; undefined: not so many are known as decide. */
export function voterClock(state: RaftState): ShardTimeMs | undefined {
  const { clocks, config, membership, nowMs, self, wallMs } = state;
  return medianClock(config, (voter) => {
    if (voter === self) return wallMs;
    const node = membership.nodeOf(voter);
    return node === undefined ? undefined : clocks.at(node, nowMs);
  });
}

/** What an entry that was appended now would carry. */
export function nextTimeMs(state: RaftState): ShardTimeMs {
  const { log, nowMs, time, wallMs } = state;
  time.notice(log.lastTimeMs ?? 0, nowMs);
  return time.next({ nowMs, wallMs }, voterClock(state));
}
