/**
 * Linearisable reads (thesis 6.4; reliability P11): a read is answered at an index that covers
 * everything acknowledged or read before it began, by a state that has applied that index.
 */
import type { LogIndex, ShardId } from '../../../raft/types.ts';
import { expect } from '../failure.ts';

export class LinearisableReads {
  readonly #floor = new Map<ShardId, LogIndex>();

  /** What a read that begins now must cover at least. */
  floor(shard: ShardId): LogIndex {
    return this.#floor.get(shard) ?? 0;
  }

  acked(shard: ShardId, index: LogIndex): void {
    if (index > this.floor(shard)) this.#floor.set(shard, index);
  }

  answered(shard: ShardId, floor: LogIndex, index: LogIndex, applied: LogIndex): void {
    expect(index >= floor, 'read-fresh', () => `shard ${shard}: read ${index} < ${floor}`);
    expect(applied >= index, 'read-applied', () => `shard ${shard}: applied ${applied} < ${index}`);
    this.acked(shard, index);
  }
}
