/**
 * State machine safety (paper figure 3): what one replica applied at an index is what every replica
 * applies there, for ever; it was on a quorum of disks when it was first applied anywhere; and
 * shard time never falls (internals rule 10).
 */
import type { Configuration, Entry, ReplicaId, ShardId } from '../../../raft/types.ts';
import { expect } from '../failure.ts';
import { describeEntry, isSameEntry } from '../workload/values.ts';
import { isQuorum, type LogView } from './views.ts';

export class Committed {
  /** Per shard; slot i holds index i + 1. */
  readonly #entries = new Map<ShardId, Entry[]>();

  of(shard: ShardId): readonly Entry[] {
    return this.#entries.get(shard) ?? [];
  }

  /** True when nobody applied this index before. */
  applied(shard: ShardId, entry: Entry): boolean {
    const known = this.#list(shard);
    const { index, timeMs } = entry;
    const before = known[index - 1];
    if (before !== undefined) {
      const change = () =>
        `${shard}/${index}: ${describeEntry(before)}, now ${describeEntry(entry)}`;
      expect(isSameEntry(before, entry), 'committed-stable', change);
      return false;
    }
    expect(index === known.length + 1, 'committed-dense', () => `${shard}/${index}`);
    const last = known.at(-1)?.timeMs ?? 0;
    expect(timeMs >= last, 'time-never-falls', () => `${shard}/${index}: ${timeMs} < ${last}`);
    known.push(entry);
    return true;
  }

  #list(shard: ShardId): Entry[] {
    let list = this.#entries.get(shard);
    if (list === undefined) {
      list = [];
      this.#entries.set(shard, list);
    }
    return list;
  }
}

/** `configs`: those that whoever committed the entry may have counted by. One must be satisfied. */
export function expectOnQuorum(
  shard: ShardId,
  { index, term }: Entry,
  configs: readonly Configuration[],
  synced: readonly LogView[],
): void {
  const holders = new Set<ReplicaId>();
  for (const log of synced) {
    const isHeld = index <= log.base || log.entry(index)?.term === term;
    if (isHeld) holders.add(log.state.replica);
  }
  const isDurable = configs.some((config) => isQuorum(config, holders));
  expect(isDurable, 'committed-durable', () => `${shard}/${index} only on ${[...holders]}`);
}
