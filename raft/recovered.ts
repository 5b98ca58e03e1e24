/** From what the store found of a replica to the state that it begins with. */
import { type RaftConfig, validateRaftConfig } from './config.ts';
import { RaftLog } from './log.ts';
import { MembershipHistory } from './membership.ts';
import { decodeMembership } from './membership-codec.ts';
import type { Rng } from './ports.ts';
import { WallClocks } from './shard-time.ts';
import { RaftState } from './state.ts';
import type { LogIndex, RecoveredShard } from './types.ts';

export interface CoreOptions {
  readonly recovered: RecoveredShard;
  readonly applied: LogIndex;
  readonly config: RaftConfig;
  readonly rng: Rng;
  /** Of the other nodes; absent: what this shard's messages tell is all. */
  readonly clocks?: WallClocks;
}

export function recoveredState(options: CoreOptions): RaftState {
  const { recovered, applied, config, rng } = options;
  const { clocks = new WallClocks(config.electionTimeoutMs) } = options;
  const { state, shard } = recovered;
  const log = recoveredLog(recovered, applied);
  if (recovered.lastIndex === 0) log.lastTimeWas(0);
  return new RaftState({
    shard,
    self: state.replica,
    settings: validateRaftConfig(config),
    rng,
    log,
    membership: recoveredMembership(recovered),
    clocks,
    hardState: state.hardState,
    isSuspect: state.suspect === true,
    damaged: recovered.damaged ?? [],
  });
}

function recoveredMembership({ state, configEntries }: RecoveredShard): MembershipHistory {
  const membership = new MembershipHistory(state.logStart.index, state.membership);
  for (const { index, head } of configEntries) membership.append(index, decodeMembership(head));
  return membership;
}

function recoveredLog(recovered: RecoveredShard, applied: LogIndex): RaftLog {
  const { state, termStarts, lastIndex } = recovered;
  // What a suspect replica has left may have been replaced by entries that are lost.
  const known = state.suspect === true ? 0 : state.hardState.commit;
  const commit = Math.max(known, applied, state.logStart.index);
  return new RaftLog({
    logStart: state.logStart,
    termStarts,
    lastIndex,
    commit: Math.min(commit, lastIndex),
    applied: Math.max(applied, state.logStart.index),
  });
}
