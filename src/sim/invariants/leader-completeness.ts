/** Leader completeness (paper figure 3): a leader's log holds everything committed before. */
import type { Entry, LogIndex, ShardId } from '../../../raft/types.ts';
import { expect } from '../failure.ts';
import type { LogView } from './views.ts';

/** `committed`: slot i holds index i + 1. `lastIndex` is what the new leader says of its log. */
export function expectLeaderComplete(
  shard: ShardId,
  committed: readonly Entry[],
  log: LogView,
  lastIndex: LogIndex,
): void {
  const index = committed.length;
  if (index === 0 || index <= log.base) return;
  const isComplete = lastIndex >= index && log.entry(index)?.term === committed[index - 1]!.term;
  expect(isComplete, 'leader-complete', () => `shard ${shard} index ${index}`);
}
