/**
 * Which log entries need the batches whose indexes do not rise along their queue: committed half
 * messages and delayed ones, which stand in the queue behind newer ones but lie where they were
 * first written, and batches that were appended again.
 *
 * Per queue and bucket of offsets the lowest of those indexes is kept: enough for a trim to stop
 * before it, small enough to stay in memory. Once a batch was appended again its bucket is
 * *counted*: the index kept is that of all its batches, plain ones too.
 */
import type { LogIndex } from '../../raft/types.ts';
import { ByteReader, ByteWriter, readVersioned } from './bytes.ts';
import type { QueueId } from './commands.ts';
import { LATE_REFERENCE_OFFSETS } from './limits.ts';
import type { StateRow, StateWriter } from './state-port.ts';

const VERSION = 1;
/** Of a counted bucket. */
const COUNTED_VERSION = 2;

/** By the last offsets of its batches. */
export interface LateBucket {
  readonly lowest: LogIndex;
  readonly isCounted: boolean;
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
    this.#put(queueId, bucket, { lowest: index, isCounted: known?.isCounted ?? false }, out);
  }

  /** No batch of the bucket lies below `index`. */
  count(queueId: QueueId, bucket: number, index: LogIndex, out: StateWriter): void {
    const known = this.#queues.get(queueId)?.get(bucket);
    const lowest = known?.isCounted === true ? Math.max(known.lowest, index) : index;
    this.#put(queueId, bucket, { lowest, isCounted: true }, out);
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
      const isCounted = value[0] === COUNTED_VERSION;
      const from = readVersioned(value, isCounted ? COUNTED_VERSION : VERSION);
      const lowest = from.uint();
      from.expectEnd();
      this.#bucketsOf(queueId).set(bucket, { lowest, isCounted });
    }
  }

  #put(queueId: QueueId, bucket: number, one: LateBucket, out: StateWriter): void {
    this.#bucketsOf(queueId).set(bucket, one);
    const value = new ByteWriter(16).u8(one.isCounted ? COUNTED_VERSION : VERSION);
    out.put('late-reference', bucketKey(queueId, bucket), value.uint(one.lowest).finish());
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
