/**
 * Where a group stood in a queue before: offsets that newer commits took the place of, each with
 * the time from which it stood.
 *
 *   records   r        r     r   r  r rr│  present offset
 *   ──────────────────────────────────────────► shard time
 *
 * The present offset is exact. Of the others one in `offsetRecordSpacingMs` is kept at first, and
 * fewer the older they are, down to one in a 32nd of their age. What a reset went back to is kept:
 * a record is never ahead of where the group stood at a time that it is asked for.
 *
 * Row of the table 'offset-history', by the key of the group's offset = version [sinceMs offset]*,
 * times but the first one as what lies between.
 */
import type { ShardTimeMs } from '../../raft/types.ts';
import { ByteWriter, readVersioned } from './bytes.ts';
import { type DataShardLimits, OFFSET_RECORDS_MAX, OFFSET_RECORDS_PER_AGE } from './limits.ts';

export interface OffsetRecord {
  readonly offset: number;
  /** The group stood there from then on; 0 = from when is not known. */
  readonly atMs: ShardTimeMs;
}

export type HistoryLimits = Pick<
  DataShardLimits,
  'offsetRecordSpacingMs' | 'offsetRecordKeepMs' | 'maxOffsetRecords'
>;

const VERSION = 1;

/** The records after `replaced` was: the same ones where it is too close to the last of them. */
export function recordsWith(
  records: readonly OffsetRecord[],
  replaced: OffsetRecord,
  nowMs: ShardTimeMs,
  limits: HistoryLimits,
): readonly OffsetRecord[] {
  const last = records.at(-1);
  const isRise = last !== undefined && last.offset <= replaced.offset;
  const isClose = isRise && replaced.atMs - last.atMs < limits.offsetRecordSpacingMs;
  if (isClose || replaced.atMs === 0) return records;
  return thinned([...records, replaced], nowMs, limits);
}

/** Where it stood at a time; undefined = that is not known, or it stood nowhere. */
export function stoodAt(
  records: readonly OffsetRecord[],
  present: OffsetRecord,
  atMs: ShardTimeMs,
): OffsetRecord | undefined {
  if (present.atMs === 0) return undefined;
  if (present.atMs <= atMs) return present;
  return records.findLast((record) => record.atMs <= atMs);
}

function thinned(
  records: readonly OffsetRecord[],
  nowMs: ShardTimeMs,
  { offsetRecordKeepMs, offsetRecordSpacingMs }: HistoryLimits,
): OffsetRecord[] {
  const kept: OffsetRecord[] = [];
  for (const [at, record] of records.entries()) {
    const before = kept.at(-1);
    const next = records[at + 1];
    if (next !== undefined) {
      const ageMs = nowMs - next.atMs;
      const gapMs = Math.max(offsetRecordSpacingMs, ageMs / OFFSET_RECORDS_PER_AGE);
      const isRise = before !== undefined && before.offset <= record.offset;
      const isSpare = isRise && next.atMs - before.atMs <= gapMs;
      // Of what is too old the newest stays: it tells where the group stood when that ended.
      if (isSpare || ageMs >= offsetRecordKeepMs) continue;
    }
    kept.push(record);
  }
  return kept.slice(-OFFSET_RECORDS_MAX);
}

export function encodeRecords(records: readonly OffsetRecord[]): Uint8Array {
  const value = new ByteWriter(8 + 8 * records.length).u8(VERSION).uint(records.length);
  let beforeMs = 0;
  for (const { atMs, offset } of records) {
    value.uint(atMs - beforeMs).uint(offset);
    beforeMs = atMs;
  }
  return value.finish();
}

export function decodeRecords(value: Uint8Array): OffsetRecord[] {
  const from = readVersioned(value, VERSION);
  let atMs = 0;
  const records = Array.from({ length: from.listLength() }, () => {
    atMs += from.uint();
    return { atMs, offset: from.uint() };
  });
  from.expectEnd();
  return records;
}
