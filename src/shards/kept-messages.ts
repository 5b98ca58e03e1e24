/**
 * The messages that a row's entry still holds, and what each is called: all of a batch, or what
 * compaction left of several (`compactRows`).
 */
import type { Entry, ShardTimeMs } from '../../raft/types.ts';
import { compactionOf, firstWriteOf } from '../broker/command-codec.ts';
import type { KeptRun } from '../broker/commands.ts';
import type { QueueIndexRow } from '../broker/state-port.ts';
import { fieldEnd } from './message-slice.ts';

export interface KeptMessage {
  readonly offset: number;
  /** In the entry's payload: the encoded field `messages`, tag included. */
  readonly start: number;
  readonly end: number;
  readonly run: KeptRun;
}

export function keptRuns(row: QueueIndexRow, entry: Entry): readonly KeptRun[] {
  const compacted = compactionOf(entry);
  if (compacted !== undefined) return compacted.runs;
  const { baseOffset: offset, count, storedAtMs } = row;
  return [{ offset, count, storedAtMs, firstIndex: firstWriteOf(entry), firstPosition: 0 }];
}

/** Of what the row still holds, the first offset that became visible at `atMs` or later. */
export function firstKeptSince(row: QueueIndexRow, entry: Entry, atMs: ShardTimeMs): number {
  const first = keptRuns(row, entry).find(({ storedAtMs }) => storedAtMs >= atMs);
  return first?.offset ?? row.baseOffset + row.count;
}

export function* keptMessages(row: QueueIndexRow, entry: Entry): Generator<KeptMessage> {
  let end = 0;
  for (const run of keptRuns(row, entry)) {
    for (let offset = run.offset; offset < run.offset + run.count; offset += 1) {
      const start = end;
      end = fieldEnd(entry.payload, start);
      yield { offset, start, end, run };
    }
  }
}
