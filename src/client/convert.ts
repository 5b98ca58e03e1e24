/** From what @grpc/proto-loader builds to our types: int64 comes as text and is converted once. */
import { durabilityName, durabilityNumber } from './produce-codec.ts';
import type { WireObject } from './proto.ts';
import type {
  Compaction,
  Durability,
  Filter,
  Message,
  Topic,
  TopicConfig,
  TopicSettings,
} from './types.ts';

export function int(value: unknown): number {
  const number = Number(value ?? 0);
  if (!Number.isSafeInteger(number)) throw new RangeError(`number out of range: ${value}`);
  return number;
}

/** Absent stays absent: for `optional` fields. */
export function optionalInt(holder: WireObject, field: string): number | undefined {
  // With `oneofs`, a proto3 optional that is set is named by its synthetic oneof.
  return holder[`_${field}`] === field ? int(holder[field]) : undefined;
}

export function list(value: unknown): readonly WireObject[] {
  return (value ?? []) as readonly WireObject[];
}

export function object(value: unknown): WireObject {
  return (value ?? {}) as WireObject;
}

/** The field `filter` of a request; none where everything is wanted. */
export function filterField(filter: Filter | undefined): WireObject {
  if (filter === undefined) return {};
  const { sql, tag } = filter;
  if ((sql === undefined) === (tag === undefined)) {
    throw new TypeError('filter: give either tag or sql');
  }
  const type = tag === undefined ? 'SQL' : 'TAG';
  return { filter: { type, expression: tag ?? sql } };
}

export function filterIn(value: unknown): Filter | undefined {
  const { type, expression } = object(value);
  if (type === 'TAG') return { tag: String(expression) };
  return type === 'SQL' ? { sql: String(expression) } : undefined;
}

/** What the producer gave. */
export function messageContent(
  from: WireObject,
): Pick<Message, 'key' | 'tag' | 'properties' | 'body' | 'bornAtMs'> {
  return {
    key: String(from.key),
    tag: String(from.tag),
    properties: from.properties as Record<string, string>,
    body: from.body as Buffer,
    bornAtMs: int(from.born_at_ms),
  };
}

export function durability(value: unknown): Durability {
  if (typeof value === 'number') return durabilityName(value);
  return durabilityNumber(value as Durability) > 0 ? (value as Durability) : 'MAJORITY_FSYNC';
}

export function topic(value: unknown): Topic {
  const from = object(value);
  return {
    name: String(from.name),
    topicId: String(from.topic_id),
    queueCount: int(from.queue_count),
    queueEpoch: int(from.queue_epoch),
    config: topicConfig(object(from.config)),
    createdAtMs: int(from.created_at_ms),
  };
}

function topicConfig(from: WireObject): TopicConfig {
  return {
    retentionMs: int(from.retention_ms),
    retentionBytes: int(from.retention_bytes),
    durability: durability(from.durability),
    dedupWindowMs: int(from.dedup_window_ms),
    order: from.order === 'STRICT' ? 'STRICT' : 'NORMAL',
    writes: from.writes === 'REFUSED' ? 'REFUSED' : 'ACCEPTED',
    diskPolicy: from.disk_policy === 'PREFER_AVAILABILITY' ? 'PREFER_AVAILABILITY' : 'PREFER_DATA',
    compaction: compactionIn(from.compaction),
  };
}

function compactionIn(value: unknown): Compaction | undefined {
  if (value === undefined || value === null) return undefined;
  const { min_lag_ms: minLagMs, tombstone_ms: tombstoneMs } = object(value);
  return { minLagMs: int(minLagMs), tombstoneMs: int(tombstoneMs) };
}

function compactionOut({ minLagMs, tombstoneMs }: Partial<Compaction>): WireObject {
  return {
    ...(minLagMs === undefined ? {} : { min_lag_ms: String(minLagMs) }),
    ...(tombstoneMs === undefined ? {} : { tombstone_ms: String(tombstoneMs) }),
  };
}

/** Unset fields are left out: the server's default, or what is there already. */
export function topicConfigOut(config: TopicSettings): WireObject {
  const { retentionMs, retentionBytes, durability: level, dedupWindowMs } = config;
  const { compaction, diskPolicy, order, writes } = config;
  return {
    ...(retentionMs === undefined ? {} : { retention_ms: String(retentionMs) }),
    ...(retentionBytes === undefined ? {} : { retention_bytes: String(retentionBytes) }),
    ...(level === undefined ? {} : { durability: level }),
    ...(dedupWindowMs === undefined ? {} : { dedup_window_ms: String(dedupWindowMs) }),
    ...(order === undefined ? {} : { order }),
    ...(writes === undefined ? {} : { writes }),
    ...(diskPolicy === undefined ? {} : { disk_policy: diskPolicy }),
    ...(compaction === undefined ? {} : { compaction: compactionOut(compaction) }),
  };
}
