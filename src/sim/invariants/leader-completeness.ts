/** Leader completeness (paper figure 3): a leader's log holds everything committed before. */
import type { Entry, LogIndex, ShardId, Term } from '../../../raft/types.ts';
import { expect } from '../failure.ts';
import type { LogView } from './views.ts';

/**
 * `committed`: slot i holds index i + 1. `lastIndex` is what the new leader says of its log. Of one
 * that wins late, with votes from before a pause, nothing is asked for when a newer term has
 * committed meanwhile: what was committed in terms before its own cannot be told from that.
 */
export function expectLeaderComplete(
  shard: ShardId,
  term: Term,
  committed: readonly Entry[],
  log: LogView,
  lastIndex: LogIndex,
): void {
  const index = committed.length;
  if (index === 0 || index <= log.base || committed[index - 1]!.term > term) return;
  const isComplete = lastIndex >= index && log.entry(index)?.term === committed[index - 1]!.term;
  expect(isComplete, 'leader-complete', () => `shard ${shard} index ${index}`);
}
