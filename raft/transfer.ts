/**
 * Leadership on request (thesis 3.10): no new proposals, the target gets what it lacks, then the
 * word to campaign at once, which overrides stickiness. Without success within an election timeout
 * the leader goes on as before.
 */

import { wakeLeader } from './quiet.ts';
import { isVoter } from './quorum.ts';
import type { RaftState, Reign } from './state.ts';
import type { MonotonicMs, ReplicaId, Term } from './types.ts';

/** A transfer that this replica began; it outlives the reign until the outcome is known. */
export interface Transfer {
  readonly to: ReplicaId;
  /** The term of the leader that gives up. */
  readonly term: Term;
  readonly deadlineMs: MonotonicMs;
}

export type TransferOutcome =
  | { readonly status: 'ok' }
  | { readonly status: 'notLeader' }
  | { readonly status: 'refused'; readonly reason: string }
  | { readonly status: 'timedOut' };

/** Undefined: under way. */
export function startTransfer(state: RaftState, to: ReplicaId): TransferOutcome | undefined {
  const { reign } = state;
  if (reign === undefined) return { status: 'notLeader' };
  if (state.transfer !== undefined) return { status: 'refused', reason: 'another is under way' };
  if (!isVoter(state.config, to)) return { status: 'refused', reason: `${to} is no voter` };
  if (to === state.self) return { status: 'ok' };
  wakeLeader(state, reign);
  const deadlineMs = state.nowMs + state.settings.electionTimeoutMs;
  state.transfer = { to, term: state.term, deadlineMs };
  return undefined;
}

/** As soon as the target has everything; said again with every heartbeat interval. */
export function urgeTarget(state: RaftState, reign: Reign): void {
  const { transfer, shard, self: from, term } = state;
  if (transfer === undefined) return;
  const match = reign.progress.get(transfer.to)?.match ?? 0;
  if (match < state.log.lastIndex || reign.urgedRound === reign.round) return;
  reign.urgedRound = reign.round;
  state.out.send({ type: 'timeoutNow', shard, from, to: transfer.to, term });
}

/** What became of the transfer, once that is known. */
export function takeTransferOutcome(state: RaftState): TransferOutcome | undefined {
  const { transfer, leader, term } = state;
  if (transfer === undefined) return undefined;
  const isDecided = leader !== 0 && term > transfer.term;
  if (!isDecided && state.nowMs < transfer.deadlineMs) return undefined;
  state.transfer = undefined;
  if (!isDecided) return { status: 'timedOut' };
  if (leader === transfer.to) return { status: 'ok' };
  return { status: 'refused', reason: `${leader} was elected instead` };
}
