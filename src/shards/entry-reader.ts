/**
 * Brings the entries that index rows point at: from Raft's tail in memory when they are recent,
 * else from the commit log, in runs so that a catch-up read is one sequential read.
 */
import type { Entry, LogIndex, ShardId } from '../../raft/types.ts';
import type { QueueIndexRow } from '../broker/state-port.ts';
import type { LogReads } from './paced-reads.ts';

/** Rows of one queue whose entries lie this close in the shard's log are read in one go. */
const RUN_GAP_MAX = 8;

export interface EntryTail {
  cachedEntries(
    shard: ShardId,
    from: LogIndex,
    to: LogIndex,
    maxBytes: number,
  ): readonly Entry[] | undefined;
}

export type OnEntries = (error: Error | undefined, entries: readonly Entry[]) => void;

/** How many of `rows` from `first` on form one ascending run within the gap and byte limits. */
function runLength(rows: readonly QueueIndexRow[], first: number): number {
  let length = 1;
  for (;;) {
    const previous = rows[first + length - 1];
    const next = rows[first + length];
    if (previous === undefined || next === undefined) return length;
    const gap = next.index - previous.index;
    if (gap <= 0 || gap > RUN_GAP_MAX) return length;
    length++;
  }
}

/**
 * Entries of the first run of rows from `first` on, in row order. At least one (or an error), at
 * most about `maxBytes`: the caller asks again for what is missing.
 */
export function readRun(
  tail: EntryTail,
  store: LogReads,
  shard: ShardId,
  rows: readonly QueueIndexRow[],
  first: number,
  maxBytes: number,
  onEntries: OnEntries,
): void {
  const from = rows[first];
  const last = rows[first + runLength(rows, first) - 1];
  if (from === undefined || last === undefined) {
    onEntries(undefined, []);
    return;
  }
  const pick: OnEntries = (error, entries) => {
    if (error !== undefined) onEntries(error, []);
    else onEntries(undefined, matching(rows, first, entries));
  };
  const cached = tail.cachedEntries(shard, from.index, last.index, maxBytes);
  if (cached !== undefined && cached.length > 0) pick(undefined, cached);
  else store.read(shard, from.index, last.index, maxBytes, pick);
}

/** Both sequences ascend: one pass. Stops at the first row whose entry is not there. */
function matching(
  rows: readonly QueueIndexRow[],
  first: number,
  entries: readonly Entry[],
): readonly Entry[] {
  const found: Entry[] = [];
  let at = 0;
  for (let i = first; i < rows.length; i++) {
    const row = rows[i] as QueueIndexRow;
    while (at < entries.length && (entries[at] as Entry).index < row.index) at++;
    const entry = entries[at];
    if (entry === undefined || entry.index !== row.index) break;
    found.push(entry);
  }
  return found;
}
