/**
 * Which log entries need the batches whose indexes do not rise along their queue: committed half
 * messages and delayed ones, which stand in the queue behind newer ones but lie where they were
 * first written, and batches that were appended again.
 *
 * Per queue and bucket of offsets the lowest of those indexes is kept: enough for a trim to stop
 * before it, small enough to stay in memory. Once a batch was appended again its bucket is
 * *counted*: the index kept is that of all its batches, plain ones too. That of a compacted queue
 * knows which entry made it smaller last, and how many messages are left in it.
 */
import type { LogIndex } from '../../raft/types.ts';
import { ByteReader, ByteWriter, FormatError, readVersioned } from './bytes.ts';
import type { QueueId } from './commands.ts';
import { LATE_REFERENCE_OFFSETS } from './limits.ts';
import type { StateRow, StateWriter } from './state-port.ts';

const VERSION = 1;
/** Of a counted bucket. */
const COUNTED_VERSION = 2;
const COMPACTED_VERSION = 3;

/** What compaction did in a bucket last. */
export interface CompactedBucket {
  readonly at: LogIndex;
  /** Messages. */
  readonly left: number;
}

/** By the last offsets of its batches. */
export interface LateBucket {
  readonly lowest: LogIndex;
  readonly isCounted: boolean;
  readonly compacted?: CompactedBucket | undefined;
}

export type LateBuckets = Iterable<LateBucket & { queueId: QueueId; bucket: number }>;

export function bucketOf(offset: number): number {
  return Math.floor(offset / LATE_REFERENCE_OFFSETS);
}

/** First offset behind the bucket. */
export function bucketEnd(bucket: number): number {
  return (bucket + 1) * LATE_REFERENCE_OFFSETS;
}

export class LateReferences {
  readonly #queues = new Map<QueueId, Map<number, LateBucket>>();

  /** Counted in the bucket of its last offset: the body is needed until that one is trimmed. */
  add(queueId: QueueId, lastOffset: number, index: LogIndex, out: StateWriter): void {
    const bucket = bucketOf(lastOffset);
    const known = this.#queues.get(queueId)?.get(bucket);
    if (known !== undefined && known.lowest <= index) return;
    this.#put(queueId, bucket, { isCounted: false, ...known, lowest: index }, out);
  }

  /** No batch of the bucket lies below `index`. */
  count(
    queueId: QueueId,
    bucket: number,
    index: LogIndex,
    out: StateWriter,
    compacted?: CompactedBucket,
  ): void {
    const known = this.#queues.get(queueId)?.get(bucket);
    const lowest = known?.isCounted === true ? Math.max(known.lowest, index) : index;
    this.#put(queueId, bucket, { lowest, isCounted: true, compacted }, out);
  }

  /** The entry that compacted it last; 0 = none did. */
  compactedAt(queueId: QueueId, bucket: number): LogIndex {
    return this.of(queueId, bucket)?.compacted?.at ?? 0;
  }

  of(queueId: QueueId, bucket: number): LateBucket | undefined {
    return this.#queues.get(queueId)?.get(bucket);
  }

  /** `offset`, or behind the counted buckets that it is in the first of. */
  uncountedFrom(queueId: QueueId, offset: number): number {
    const buckets = this.#queues.get(queueId);
    let bucket = bucketOf(offset);
    while (buckets?.get(bucket)?.isCounted === true) bucket += 1;
    return Math.max(offset, bucketEnd(bucket - 1));
  }

  /** Forgets the buckets that lie wholly below the start offset. */
  trim(queueId: QueueId, startOffset: number, out: StateWriter): void {
    const buckets = this.#queues.get(queueId);
    if (buckets === undefined) return;
    for (const bucket of buckets.keys()) {
      if (bucketEnd(bucket) > startOffset) continue;
      buckets.delete(bucket);
      out.put('late-reference', bucketKey(queueId, bucket), undefined);
    }
    if (buckets.size === 0) this.#queues.delete(queueId);
  }

  lowestIndex(which: 'counted' | 'all' = 'all'): LogIndex | undefined {
    let lowest: LogIndex | undefined;
    for (const buckets of this.#queues.values()) {
      for (const one of buckets.values()) {
        if (which === 'counted' && !one.isCounted) continue;
        if (lowest === undefined || one.lowest < lowest) lowest = one.lowest;
      }
    }
    return lowest;
  }

  *all(): LateBuckets {
    for (const [queueId, buckets] of this.#queues) {
      for (const [bucket, one] of buckets) yield { queueId, bucket, ...one };
    }
  }

  load(rows: readonly StateRow[]): void {
    for (const { key, value } of rows) {
      const fromKey = new ByteReader(key);
      const queueId = fromKey.u32be();
      const bucket = fromKey.u64be();
      const [version = VERSION] = value;
      if (version < VERSION || version > COMPACTED_VERSION)
        throw new FormatError(`version ${version} is not known here`);
      const from = readVersioned(value, version);
      const lowest = from.uint();
      const compacted = isCompacted(value) ? { at: from.uint(), left: from.uint() } : undefined;
      from.expectEnd();
      const isCounted = version !== VERSION;
      this.#bucketsOf(queueId).set(bucket, { lowest, isCounted, compacted });
    }
  }

  #put(queueId: QueueId, bucket: number, one: LateBucket, out: StateWriter): void {
    this.#bucketsOf(queueId).set(bucket, one);
    const value = new ByteWriter(32).u8(versionOf(one)).uint(one.lowest);
    if (one.compacted !== undefined) value.uint(one.compacted.at).uint(one.compacted.left);
    out.put('late-reference', bucketKey(queueId, bucket), value.finish());
  }

  #bucketsOf(queueId: QueueId): Map<number, LateBucket> {
    const known = this.#queues.get(queueId) ?? new Map<number, LateBucket>();
    this.#queues.set(queueId, known);
    return known;
  }
}

function bucketKey(queueId: QueueId, bucket: number): Uint8Array {
  return new ByteWriter(12).u32be(queueId).u64be(bucket).finish();
}

function versionOf({ compacted, isCounted }: LateBucket): number {
  if (compacted !== undefined) return COMPACTED_VERSION;
  return isCounted ? COUNTED_VERSION : VERSION;
}

function isCompacted(value: Uint8Array): boolean {
  return value[0] === COMPACTED_VERSION;
}
