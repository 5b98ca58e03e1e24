/** Compacted topics as requests ask for them, and what such a topic does not do. */
import type { QueueCompaction } from '../broker/commands.ts';
import type { TopicConfig, TopicView } from '../cluster/api.ts';
import { checkedNumber, int64 } from '../convert.ts';
import { CallError } from '../status.ts';

/** What is refused of a compacted topic. */
export const NO_HALF = 'it takes no half messages';
export const NO_DELIVERIES = 'it is read by Fetch and Subscribe, not message by message';

const DAY_MS = 24 * 60 * 60 * 1000;
const MAX_LAG_MS = 7 * DAY_MS;
const DEFAULT_TOMBSTONE_MS = DAY_MS;
const MAX_TOMBSTONE_MS = 30 * DAY_MS;

export interface CompactionFields {
  readonly min_lag_ms?: string;
  readonly tombstone_ms?: string;
}

export function compactionOf(fields: CompactionFields): QueueCompaction {
  const { min_lag_ms: lag, tombstone_ms: tombstone } = fields;
  const minLagMs = checkedNumber('min_lag_ms', int64('min_lag_ms', lag), MAX_LAG_MS);
  if (tombstone === undefined) return { minLagMs, tombstoneMs: DEFAULT_TOMBSTONE_MS };
  const tombstoneMs = int64('tombstone_ms', tombstone);
  return { minLagMs, tombstoneMs: checkedNumber('tombstone_ms', tombstoneMs, MAX_TOMBSTONE_MS) };
}

export function compactionFields({ minLagMs, tombstoneMs }: QueueCompaction): object {
  return { min_lag_ms: minLagMs, tombstone_ms: tombstoneMs };
}

/** Of a new topic: nothing but its key ends a message. */
export function checkCompaction(asked: Partial<TopicConfig>): void {
  const { compaction, diskPolicy, retentionBytes = 0, retentionMs = 0 } = asked;
  if (compaction === undefined) return;
  if (retentionMs > 0 || retentionBytes > 0) {
    throw new CallError(
      'INVALID_REQUEST',
      'retention_ms and retention_bytes would take the newest of keys: leave them out, or ' +
        'compaction. What shall go is deleted by a message of its key without a body',
    );
  }
  if (diskPolicy !== 'availability') return;
  throw new CallError(
    'INVALID_REQUEST',
    'disk_policy PREFER_AVAILABILITY takes the oldest messages, and with them the newest of ' +
      'keys: leave it out, or compaction',
  );
}

/** Of an update: what is there by then cannot be told apart by its keys. */
export function checkNotCompacting({ compaction }: Partial<TopicConfig>): void {
  if (compaction === undefined) return;
  throw new CallError(
    'TOPIC_COMPACTED',
    'whether and how a topic is compacted is settled when it is created: leave compaction out',
  );
}

/** undefined = it is not compacted. */
export function refuseCompacted(topic: TopicView, how: string): CallError | undefined {
  if (topic.config.compaction === undefined) return undefined;
  return topicCompacted(`topic ${topic.name} is compacted: ${how}`);
}

export function topicCompacted(text: string): CallError {
  return new CallError('TOPIC_COMPACTED', text);
}
