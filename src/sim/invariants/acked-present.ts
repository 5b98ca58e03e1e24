/**
 * What clients were told is true (internals rule 12; reliability P1): an acknowledged entry stays
 * where it was said to be, with the answer that it was given; a definite refusal never takes
 * effect.
 */
import type { Entry, LogIndex, ShardId } from '../../../raft/types.ts';
import { expect } from '../failure.ts';
import { describeEntry, taggedOf } from '../workload/values.ts';

export interface Acked {
  readonly shard: ShardId;
  readonly index: LogIndex;
  readonly tag: string;
}

export class AckedPresent {
  readonly #acked: Acked[] = [];
  readonly #refused: string[] = [];

  get count(): number {
    return this.#acked.length;
  }

  /** `committed` as of the moment of the answer: only what was applied is acknowledged. */
  acked(acked: Acked, committed: readonly Entry[]): void {
    this.#acked.push(acked);
    expectThere(acked, committed);
  }

  refused(tag: string): void {
    this.#refused.push(tag);
  }

  /** At the end of a run. */
  expectAll(committed: (shard: ShardId) => readonly Entry[], isThere: (tag: string) => boolean) {
    for (const acked of this.#acked) expectThere(acked, committed(acked.shard));
    for (const tag of this.#refused) expect(!isThere(tag), 'refused-stays-out', () => tag);
  }
}

function expectThere({ shard, index, tag }: Acked, committed: readonly Entry[]): void {
  const entry = committed[index - 1];
  const isThere = entry !== undefined && taggedOf(entry)?.tag === tag;
  const found = () => `${shard}/${index}: ${tag}, found ${describeEntry(entry)}`;
  expect(isThere, 'acked-survives', found);
}
