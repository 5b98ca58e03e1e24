/**
 * Applied state (reliability P3, P21): replicas that applied the same entries hold the same state,
 * whether they applied them one by one or began from persisted rows or a snapshot.
 */
import type { LogIndex, ShardId } from '../../../raft/types.ts';
import { expect } from '../failure.ts';

export class AppliedState {
  /** Per shard; slot i is the state's hash after index i + 1. */
  readonly #hashes = new Map<ShardId, number[]>();

  at(shard: ShardId, index: LogIndex, hash: number): void {
    let known = this.#hashes.get(shard);
    if (known === undefined) {
      known = [];
      this.#hashes.set(shard, known);
    }
    const before = known[index - 1] ?? hash;
    known[index - 1] = hash;
    expect(before === hash, 'same-state', () => `shard ${shard} differs after index ${index}`);
  }
}
