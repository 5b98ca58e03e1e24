/**
 * Which log entries need the batches that were shown late: committed half messages and delayed
 * ones. Such a batch stands in its queue behind newer ones but lies in the log where it was first
 * written, so indexes do not rise along the queue there.
 * Per queue and bucket of offsets the lowest of those indexes is kept: enough for a trim to stop
 * before it, small enough to stay in memory.
 */
import type { LogIndex } from '../../raft/types.ts';
import { ByteReader, ByteWriter, readVersioned } from './bytes.ts';
import type { QueueId } from './commands.ts';
import { LATE_REFERENCE_OFFSETS } from './limits.ts';
import type { StateRow, StateWriter } from './state-port.ts';

const VERSION = 1;

export class LateReferences {
  /** Per queue: bucket number → lowest log index. */
  readonly #queues = new Map<QueueId, Map<number, LogIndex>>();

  /** Counted in the bucket of its last offset: the body is needed until that one is trimmed. */
  add(queueId: QueueId, lastOffset: number, index: LogIndex, out: StateWriter): void {
    const bucket = Math.floor(lastOffset / LATE_REFERENCE_OFFSETS);
    let buckets = this.#queues.get(queueId);
    if (buckets === undefined) {
      buckets = new Map();
      this.#queues.set(queueId, buckets);
    }
    const lowest = buckets.get(bucket);
    if (lowest !== undefined && lowest <= index) return;
    buckets.set(bucket, index);
    const value = new ByteWriter(16).u8(VERSION).uint(index).finish();
    out.put('late-reference', bucketKey(queueId, bucket), value);
  }

  /** Forgets the buckets that lie wholly below the start offset. */
  trim(queueId: QueueId, startOffset: number, out: StateWriter): void {
    const buckets = this.#queues.get(queueId);
    if (buckets === undefined) return;
    for (const bucket of buckets.keys()) {
      if ((bucket + 1) * LATE_REFERENCE_OFFSETS > startOffset) continue;
      buckets.delete(bucket);
      out.put('late-reference', bucketKey(queueId, bucket), undefined);
    }
    if (buckets.size === 0) this.#queues.delete(queueId);
  }

  lowestIndex(): LogIndex | undefined {
    let lowest: LogIndex | undefined;
    for (const buckets of this.#queues.values()) {
      for (const index of buckets.values()) {
        if (lowest === undefined || index < lowest) lowest = index;
      }
    }
    return lowest;
  }

  load(rows: readonly StateRow[]): void {
    for (const { key, value } of rows) {
      const fromKey = new ByteReader(key);
      const queueId = fromKey.u32be();
      const bucket = fromKey.u64be();
      const from = readVersioned(value, VERSION);
      const index = from.uint();
      from.expectEnd();
      const buckets = this.#queues.get(queueId) ?? new Map<number, LogIndex>();
      buckets.set(bucket, index);
      this.#queues.set(queueId, buckets);
    }
  }
}

function bucketKey(queueId: QueueId, bucket: number): Uint8Array {
  return new ByteWriter(12).u32be(queueId).u64be(bucket).finish();
}
