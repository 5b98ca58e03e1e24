/**
 * Where the shards are cut so that no shard knows of what another one has not got.
 *
 * Each shard was asked twice how far it is: `floor` before anything was asked a second time,
 * `ceiling` after all had answered once. At the moment between, each log ended between its two, and
 * what all shards had then is closed: whatever an entry rests on was there before it. So is the
 * highest cut below the ceilings that leaves out each entry whose demand it does not meet, and it
 * lies at or above that moment's, hence above the floors: nothing that was acknowledged before the
 * backup began is lost (docs/decisions.md).
 */
import { strict as assert } from 'node:assert';
import type { LogIndex, ShardId } from '../../raft/types.ts';

/** The entry at `at` of `shard` may be in only with the entry at `index` of `on`. */
export interface Demand {
  readonly shard: ShardId;
  readonly at: LogIndex;
  readonly on: ShardId;
  /** Infinity = it lies behind the ceiling. */
  readonly index: LogIndex;
}

export type Cut = ReadonlyMap<ShardId, LogIndex>;

/** `demands`: of entries above the floors. */
export function closedCut(floors: Cut, ceilings: Cut, demands: readonly Demand[]): Cut {
  const cut = new Map(ceilings);
  const byNeeded = new Map<ShardId, Demand[]>();
  for (const demand of demands) {
    const known = byNeeded.get(demand.on);
    if (known === undefined) byNeeded.set(demand.on, [demand]);
    else known.push(demand);
  }
  // Lowering a shard can only break demands on it.
  const lowered = new Set(ceilings.keys());
  for (const on of lowered) {
    lowered.delete(on);
    for (const { at, index, shard } of byNeeded.get(on) ?? []) {
      if (at > cut.get(shard)! || index <= cut.get(on)!) continue;
      cut.set(shard, at - 1);
      lowered.add(shard);
    }
  }
  for (const [shard, index] of cut) {
    assert(index >= floors.get(shard)!, `shard ${shard}: what was acknowledged is never left out`);
  }
  return cut;
}
