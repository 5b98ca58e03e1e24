/** What retention keeps and would take, and what keeps the nodes' logs. */
import { int, list, optionalInt } from './convert.ts';
import type { WireObject } from './proto.ts';

export interface RetentionQuery {
  /** Default: all topics. */
  readonly topic?: string | undefined;
  /** Instead of what the topics have. */
  readonly retentionMs?: number | undefined;
  readonly retentionBytes?: number | undefined;
  /** As if the fullest disk were so full. Default: as it is. */
  readonly disk?: 'low' | 'high' | 'critical' | 'full' | undefined;
}

export interface RetentionDescription {
  readonly queues: readonly QueueRetention[];
  /** Of the nodes that answered. */
  readonly nodes: readonly NodeLog[];
}

export interface QueueRetention {
  readonly topic: string;
  readonly queue: number;
  readonly shard: number;
  readonly startOffset: number;
  readonly endOffset: number;
  /** Stored in what is kept; the oldest batch counts only where nothing went before it. */
  readonly bytes: number;
  /** undefined = the queue is empty. */
  readonly oldestAtMs: number | undefined;
  /** Where the queue would begin. */
  readonly newStartOffset: number;
  readonly goingMessages: number;
  readonly goingBytes: number;
}

export interface NodeLog {
  readonly node: number;
  readonly bytes: number;
  /** What holds most comes first. */
  readonly shards: readonly HeldLog[];
}

export interface HeldLog {
  readonly shard: number;
  /** Log on the disk that cannot go before this shard lets go of its oldest entry. */
  readonly bytes: number;
  readonly startIndex: number;
  readonly trimIndex: number;
  readonly lastIndex: number;
  /** The lowest first: the first one is why the shard's log is still there. */
  readonly holders: readonly LogHolder[];
}

export interface LogHolder {
  /** MESSAGES, HALF, DELAYED, SLOW_REPLICA …: admin.proto tells of each. */
  readonly what: string;
  readonly index: number;
  /** Empty: of no topic, or not known. */
  readonly topic: string;
  readonly queue: number | undefined;
  /** Of a slow replica. */
  readonly node: number | undefined;
}

export function retentionOut(query: RetentionQuery): WireObject {
  const { disk = '', retentionBytes, retentionMs, topic = '' } = query;
  return {
    ...{ topic, disk },
    ...(retentionMs === undefined ? {} : { retention_ms: String(retentionMs) }),
    ...(retentionBytes === undefined ? {} : { retention_bytes: String(retentionBytes) }),
  };
}

export function queueRetention(from: WireObject): QueueRetention {
  return {
    topic: String(from.topic),
    queue: int(from.queue),
    shard: int(from.shard),
    startOffset: int(from.start_offset),
    endOffset: int(from.end_offset),
    bytes: int(from.bytes),
    oldestAtMs: int(from.oldest_at_ms) || undefined,
    newStartOffset: int(from.new_start_offset),
    goingMessages: int(from.going_messages),
    goingBytes: int(from.going_bytes),
  };
}

export function nodeLog(from: WireObject): NodeLog {
  const shards = list(from.shards).map(heldLog);
  return { node: int(from.node), bytes: int(from.bytes), shards };
}

function heldLog(from: WireObject): HeldLog {
  return {
    shard: int(from.shard),
    bytes: int(from.bytes),
    startIndex: int(from.start_index),
    trimIndex: int(from.trim_index),
    lastIndex: int(from.last_index),
    holders: list(from.holders).map((holder) => ({
      what: String(holder.what),
      index: int(holder.index),
      topic: String(holder.topic),
      queue: optionalInt(holder, 'queue'),
      node: int(holder.node) || undefined,
    })),
  };
}
