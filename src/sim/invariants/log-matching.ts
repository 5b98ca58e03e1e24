/** Log matching (paper figure 3): equal (index, term) means equal logs up to there. */
import type { ShardId } from '../../../raft/types.ts';
import { expect } from '../failure.ts';
import { isSameEntry } from '../workload/values.ts';
import type { LogView } from './views.ts';

function expectMatching(shard: ShardId, left: LogView, right: LogView): void {
  let index = Math.min(left.lastIndex, right.lastIndex);
  const first = Math.max(left.base, right.base) + 1;
  while (index >= first && left.entry(index)?.term !== right.entry(index)?.term) index--;
  for (; index >= first; index--) {
    const ours = left.entry(index);
    const theirs = right.entry(index);
    // A hole is damage under repair: the disk's matter.
    if (ours === undefined || theirs === undefined) continue;
    expect(isSameEntry(ours, theirs), 'log-matching', () => `shard ${shard} index ${index}`);
  }
}

export function expectLogsMatch(shard: ShardId, logs: readonly LogView[]): void {
  for (const [at, left] of logs.entries()) {
    for (const right of logs.slice(at + 1)) expectMatching(shard, left, right);
  }
}
