/**
 * State machine safety and leader completeness (paper figure 3): what one replica applied at an
 * index is what every replica applies there, for ever; and it was on a majority of disks when it
 * was first applied anywhere.
 */
import type { Entry, LogIndex, ShardId } from '../../../raft/types.ts';
import type { SimDisk } from '../disk.ts';
import { expect } from '../failure.ts';
import { isSameEntry, textOf } from '../payload.ts';

export class Committed {
  /** Per shard; slot i holds index i + 1. */
  readonly #entries = new Map<ShardId, Entry[]>();
  readonly #disks: () => readonly SimDisk[];

  constructor(disks: () => readonly SimDisk[]) {
    this.#disks = disks;
  }

  of(shard: ShardId): readonly Entry[] {
    return this.#entries.get(shard) ?? [];
  }

  applied(shard: ShardId, entry: Entry): void {
    const known = this.#list(shard);
    const { index, timeMs } = entry;
    const before = known[index - 1];
    if (before === undefined) {
      expect(index === known.length + 1, 'committed-dense', () => `${shard}/${index}`);
      this.#expectOnMajority(shard, entry);
      const last = known.at(-1)?.timeMs ?? 0;
      expect(timeMs >= last, 'time-never-falls', () => `${shard}/${index}: ${timeMs} < ${last}`);
      known.push(entry);
      return;
    }
    const change = () => `${shard}/${index}: ${textOf(before)} became ${textOf(entry)}`;
    expect(isSameEntry(before, entry), 'committed-stable', change);
  }

  #list(shard: ShardId): Entry[] {
    let list = this.#entries.get(shard);
    if (list === undefined) {
      list = [];
      this.#entries.set(shard, list);
    }
    return list;
  }

  #expectOnMajority(shard: ShardId, { index, term }: Entry): void {
    const disks = this.#disks();
    const holders = disks.filter((disk) => {
      const image = disk.synced.get(shard)!;
      return index <= image.base || image.entry(index)?.term === term;
    });
    const isDurable = holders.length > disks.length / 2;
    expect(isDurable, 'committed-durable', () => `${shard}/${index} on ${holders.length} disks`);
  }

  /** Leader completeness: a leader's log holds everything committed before. */
  expectComplete(shard: ShardId, disk: SimDisk, lastIndex: LogIndex): void {
    const known = this.of(shard);
    const index = known.length;
    const image = disk.written.get(shard)!;
    if (index === 0 || index <= image.base) return;
    const isComplete = lastIndex >= index && image.entry(index)?.term === known[index - 1]!.term;
    expect(isComplete, 'leader-complete', () => `shard ${shard} index ${index}`);
  }
}
