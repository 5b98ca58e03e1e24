/** What falls due in a shard by itself, and the entry that does what is due. */
import type { ShardTimeMs } from '../../raft/types.ts';
import type { DataShard } from '../broker/api.ts';
import type { Command } from '../broker/commands.ts';

/** A kind of thing that falls due. */
interface DueSource {
  /** Of the first one; undefined = none waits. */
  nextAtMs(data: DataShard): ShardTimeMs | undefined;
  /** Names what is due at `nowMs`: apply looks at each again. */
  command(data: DataShard, nowMs: ShardTimeMs): Command;
}

/** One entry stays small, and applying it short. */
const MAX_PER_ENTRY = 1000;

const SOURCES: readonly DueSource[] = [
  {
    nextAtMs: (data) => data.nextDelayedAtMs(),
    command: (data, nowMs) => ({
      type: 'deliver',
      batches: data.dueDelayed(nowMs, MAX_PER_ENTRY),
    }),
  },
  {
    nextAtMs: (data) => data.nextToParkAtMs(),
    command: (data, nowMs) => ({
      type: 'park',
      transactions: data.dueToPark(nowMs, MAX_PER_ENTRY),
    }),
  },
  {
    nextAtMs: (data) => data.nextToAbortAtMs(),
    command: (data, nowMs) => ({
      ...{ type: 'end', producerGroup: '', decision: 'rollback', by: 'timeout' },
      transaction: { by: 'id', id: data.dueToAbort(nowMs) ?? { term: 0, index: 0 } },
    }),
  },
  {
    nextAtMs: (data) => data.deliveries.nextOverAtMs(),
    command: (data, nowMs) => ({
      type: 'expire',
      deliveries: data.deliveries.over(nowMs, MAX_PER_ENTRY),
    }),
  },
];

export interface FirstDue {
  readonly atMs: ShardTimeMs;
  command(nowMs: ShardTimeMs): Command;
}

/** By time, so that no kind keeps another waiting. */
export function firstDue(data: DataShard): FirstDue | undefined {
  let first: { source: DueSource; atMs: ShardTimeMs } | undefined;
  for (const source of SOURCES) {
    const atMs = source.nextAtMs(data);
    if (atMs === undefined || (first !== undefined && first.atMs <= atMs)) continue;
    first = { source, atMs };
  }
  if (first === undefined) return undefined;
  const { atMs, source } = first;
  return { atMs, command: (nowMs) => source.command(data, nowMs) };
}
