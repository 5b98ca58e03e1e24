/** Log matching (paper figure 3): equal (index, term) means equal logs up to there. */
import type { ShardId } from '../../../raft/types.ts';
import type { ShardImage, SimDisk } from '../disk.ts';
import { expect } from '../failure.ts';
import { isSameEntry } from '../payload.ts';

function expectMatching(shard: ShardId, left: ShardImage, right: ShardImage): void {
  let index = Math.min(left.lastIndex, right.lastIndex);
  const first = Math.max(left.base, right.base) + 1;
  while (index >= first && left.entry(index)!.term !== right.entry(index)!.term) index--;
  for (; index >= first; index--) {
    const isSame = isSameEntry(left.entry(index)!, right.entry(index)!);
    expect(isSame, 'log-matching', () => `shard ${shard} index ${index}`);
  }
}

export function expectLogsMatch(shard: ShardId, disks: readonly SimDisk[]): void {
  for (const [at, left] of disks.entries()) {
    for (const right of disks.slice(at + 1)) {
      expectMatching(shard, left.written.get(shard)!, right.written.get(shard)!);
    }
  }
}
