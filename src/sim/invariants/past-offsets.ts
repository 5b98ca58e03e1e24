/**
 * Where groups stood: what a replica tells of any time in the past is an offset that the group had
 * committed by then, and has gone no further since than what is thinned out allows.
 */
import type { ShardTimeMs } from '../../../raft/types.ts';
import type { DataShard } from '../../broker/api.ts';
import { OFFSET_RECORDS_PER_AGE } from '../../broker/limits.ts';
import type { OffsetRecord } from '../../broker/offset-history.ts';
import { expect } from '../failure.ts';
import { SIM_LIMITS } from '../limits.ts';

export class PastOffsets {
  /** Per group, topic and queue: all that ever stood, oldest first. */
  readonly #stood = new Map<string, OffsetRecord[]>();

  stands(place: string, offset: number, atMs: ShardTimeMs): void {
    const stood = this.#stood.get(place) ?? [];
    this.#stood.set(place, stood);
    if (stood.at(-1)?.offset !== offset) stood.push({ offset, atMs });
  }

  /** Of a replica that has applied everything. */
  expectState(place: string, tell: (atMs: ShardTimeMs) => OffsetRecord | undefined): void {
    const stood = this.#stood.get(place) ?? [];
    const nowMs = stood.at(-1)?.atMs ?? 0;
    for (const [at, { atMs }] of stood.entries()) {
      // As it was committed, and for as long as it stood.
      const endMs = Math.max(atMs, (stood[at + 1]?.atMs ?? atMs) - 1);
      for (const askedMs of [atMs, endMs]) this.#expect(place, stood, askedMs, nowMs, tell);
    }
  }

  #expect(
    place: string,
    stood: readonly OffsetRecord[],
    askedMs: ShardTimeMs,
    nowMs: ShardTimeMs,
    tell: (atMs: ShardTimeMs) => OffsetRecord | undefined,
  ): void {
    const truth = stood.findLast(({ atMs }) => atMs <= askedMs)!;
    const told = tell(askedMs);
    const what = () => {
      const texts = [told, truth].map((one) => JSON.stringify(one));
      return `${place} at ${askedMs}: told ${texts[0]}, stood at ${texts[1]}`;
    };
    const isTrue = stood.some(({ atMs, offset }) => atMs === told?.atMs && offset === told.offset);
    expect(told !== undefined && isTrue, 'past-true', what);
    expect(told!.offset <= truth.offset, 'past-not-ahead', what);
    const ageMs = (nowMs - askedMs) / OFFSET_RECORDS_PER_AGE;
    const gapMs = Math.max(SIM_LIMITS.offsetRecordSpacingMs, ageMs);
    expect(truth.atMs - told!.atMs <= gapMs, 'past-close', what);
  }
}

export function pastOf(
  data: DataShard,
  group: string,
  topicId: string,
  queue: number,
): (atMs: ShardTimeMs) => OffsetRecord | undefined {
  return (atMs) =>
    data.groupOffsetsAt(group, topicId, atMs).find((one) => one.queue === queue)?.stood;
}
