/** Dedup keys as requests bring them: what is refused, and how long they are remembered. */
import type { DataShard } from '../broker/api.ts';
import { Durability, type QueueId } from '../broker/commands.ts';
import { DATA_SHARD_LIMITS } from '../broker/limits.ts';
import { DEFAULT_DEDUP_WINDOW_MS, type MetaView, type TopicConfig } from '../cluster/api.ts';
import { CallError } from '../status.ts';
import type { ProduceHead } from './request-head.ts';

export const MAX_DEDUP_KEY_BYTES = 64;

/** What can be refused at sight. */
export function checkDedupKeys({ count, dedupKeys, durability }: ProduceHead): void {
  if (dedupKeys === undefined) return;
  if (dedupKeys.length !== 1 && dedupKeys.length !== count) {
    throw invalid(
      `${dedupKeys.length} dedup_keys for ${count} messages: give one, or one per message`,
    );
  }
  for (const key of dedupKeys) {
    const bytes = Buffer.byteLength(key);
    if (bytes === 0) throw invalid('a dedup key is empty: leave dedup_keys out, or name each');
    if (bytes > MAX_DEDUP_KEY_BYTES) {
      throw invalid(`a dedup key has ${bytes} bytes: at most ${MAX_DEDUP_KEY_BYTES} are allowed`);
    }
  }
  if (new Set(dedupKeys).size < dedupKeys.length) {
    throw invalid('a dedup key is given twice: two messages with one key are one message');
  }
  if (durability !== 0 && durability !== Durability.majorityFsync) {
    throw invalid(
      'dedup_keys need durability MAJORITY_FSYNC: whether a key is known is told as it is applied',
    );
  }
}

export function checkDedupOn(head: ProduceHead, config: TopicConfig): CallError | undefined {
  if (head.dedupKeys === undefined || windowOf(config) > 0) return undefined;
  return new CallError(
    'DEDUP_OFF',
    `topic ${head.topic} remembers no dedup keys (dedup_window_ms is 0): leave dedup_keys out, ` +
      'or set a window with UpdateTopic',
  );
}

/** By the leader: keys and the window that holds for them. */
export function dedupOf(
  head: ProduceHead,
  queueId: QueueId,
  data: DataShard,
  meta: MetaView,
): { readonly windowMs: number; readonly keys: readonly string[] } | undefined {
  if (head.dedupKeys === undefined) return undefined;
  const config = meta.topicById(data.queue(queueId)?.topicId ?? '')?.config;
  const windowMs = config === undefined ? DEFAULT_DEDUP_WINDOW_MS : windowOf(config);
  // Switched off since the request was let in.
  return windowMs === 0 ? undefined : { windowMs, keys: head.dedupKeys };
}

/** undefined = there is room for its keys, or they add none. */
export function refuseDedupKeys(
  data: DataShard,
  queueId: QueueId,
  keys: readonly string[],
  nowMs: number,
): CallError | undefined {
  const { maxDedupKeys } = DATA_SHARD_LIMITS;
  if (data.counts().dedupKeys + keys.length <= maxDedupKeys) return undefined;
  // What has ended makes room as these are stored.
  if ((data.dedupKeysEndMs() ?? nowMs) <= nowMs) return undefined;
  if (!data.areDedupKeysNew(queueId, keys, nowMs)) return undefined;
  return new CallError(
    'SHARD_STATE_FULL',
    `the shard remembers ${maxDedupKeys} dedup keys (maxDedupKeys): try again later, or set a ` +
      'shorter dedup_window_ms',
  );
}

function windowOf({ dedupWindowMs = DEFAULT_DEDUP_WINDOW_MS }: TopicConfig): number {
  return dedupWindowMs;
}

function invalid(text: string): CallError {
  return new CallError('INVALID_REQUEST', text);
}
