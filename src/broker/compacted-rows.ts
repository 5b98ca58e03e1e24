/**
 * Rows of a compacted queue become one: it begins with the first and ends with the last of them, so
 * that offsets stay dense in the index, and points at an entry with those of their messages that
 * are left. Their bucket remembers which entry did so last: who decided by rows that are others by
 * now is not heard.
 */
import type { Entry } from '../../raft/types.ts';
import type { ApplyResult, Command } from './commands.ts';
import { bucketEnd, bucketOf, type LateReferences } from './late-references.ts';
import type { Queues } from './queues.ts';
import type { StateWriter } from './state-port.ts';

export function compactRows(
  command: Extract<Command, { type: 'compactRows' }>,
  { queues, references }: { readonly queues: Queues; readonly references: LateReferences },
  entry: Entry,
  out: StateWriter,
): ApplyResult {
  const { before, left, lowest, replaced, row, until } = command;
  const queue = queues.get(row.queueId);
  const bucket = bucketOf(row.baseOffset + row.count - 1);
  const isSame =
    queue?.compaction !== undefined &&
    row.baseOffset + row.count > queue.startOffset &&
    until === Math.min(queue.endOffset, bucketEnd(bucket)) &&
    before === references.compactedAt(row.queueId, bucket);
  if (!isSame) return { type: 'copied', moved: false };
  const lowestNow = Math.min(lowest, entry.index);
  const compacted = { at: entry.index, left };
  references.count(row.queueId, bucket, lowestNow, out, compacted);
  out.moveIndex({ ...row, index: entry.index, term: entry.term }, replaced);
  return { type: 'copied', moved: true };
}
