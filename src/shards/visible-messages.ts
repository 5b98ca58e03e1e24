/**
 * What a compacted queue shows to whoever reads it now: messages without a newer one of their key,
 * and those that are too young to be hidden (compacted-keys.ts in the broker).
 */
import type { ShardTimeMs } from '../../raft/types.ts';
import type { CompactedKeysView } from '../broker/api.ts';
import type { QueueCompaction } from '../broker/commands.ts';
import { isShown } from '../broker/compacted-keys.ts';
import { bucketOf } from '../broker/late-references.ts';
import type { QueueIndexRow } from '../broker/state-port.ts';
import { keyOfMessage } from '../filter/message-key.ts';
import type { FetchedBatch } from './api.ts';

export class VisibleMessages {
  /** Of the state that was asked: once another takes its place, this says nothing any more. */
  readonly keys: CompactedKeysView;
  readonly #compaction: QueueCompaction;
  readonly #nowMs: ShardTimeMs;

  constructor(compaction: QueueCompaction, keys: CompactedKeysView, nowMs: ShardTimeMs) {
    this.#compaction = compaction;
    this.keys = keys;
    this.#nowMs = nowMs;
  }

  /** Nothing of the row is shown any more, and its entry need not be read to know it. */
  isGone({ baseOffset, count, queueId, storedAtMs }: QueueIndexRow): boolean {
    if (this.#nowMs < storedAtMs + this.#compaction.minLagMs) return false;
    return this.keys.liveIn(queueId, bucketOf(baseOffset + count - 1)) === 0;
  }

  /** Message `at` of the batch, from `start` to `end`. */
  isShown({ baseOffset, messages, row }: FetchedBatch, at: number, start: number, end: number) {
    const { queueId, storedAtMs } = row;
    const { key } = keyOfMessage(messages, start, end);
    const message = { queueId, key, offset: baseOffset + at, storedAtMs };
    return isShown(message, this.#compaction, this.keys, this.#nowMs);
  }
}
