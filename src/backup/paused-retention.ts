/**
 * Retention by time goes by the clock. A backup that has lain for long would lose all of its
 * messages minutes after it was restored, so their topics keep everything until an operator says
 * otherwise.
 */
import { KeyKind } from '../../storage/keys.ts';
import type { TableRow } from '../../storage/level-db.ts';
import { encodeVersionedJson } from '../cluster/meta-codec.ts';
import { readTopic } from '../cluster/topics.ts';

/** A restore that follows at once changes nothing. */
export const PAUSE_AFTER_MS = 3_600_000;

export interface PausedTopics {
  readonly rows: readonly TableRow[];
  readonly paused: readonly { readonly name: string; readonly retentionMs: number }[];
}

export function pausedRetention(
  rows: readonly TableRow[],
  takenAtMs: number,
  nowMs: number,
): PausedTopics {
  if (nowMs - takenAtMs < PAUSE_AFTER_MS) return { rows, paused: [] };
  const paused: { name: string; retentionMs: number }[] = [];
  const changed = rows.map((row) => {
    if (row.kind !== KeyKind.topic) return row;
    const topic = readTopic({ table: 'topic', key: row.key, value: row.value });
    const { retentionMs } = topic.config;
    if (retentionMs === 0) return row;
    paused.push({ name: topic.name, retentionMs });
    const config = { ...topic.config, retentionMs: 0 };
    return { ...row, value: encodeVersionedJson({ ...topic, config }) };
  });
  return { rows: changed, paused };
}
