/**
 * A batch that a queue shows lies in a later entry from now on; its offsets stay. Rows of compacted
 * queues move in another way (compacted-rows.ts).
 */
import type { Entry } from '../../raft/types.ts';
import type { ApplyResult, Command } from './commands.ts';
import { bucketEnd, bucketOf, type LateReferences } from './late-references.ts';
import type { Queues } from './queues.ts';
import type { StateWriter } from './state-port.ts';

interface Moving {
  readonly queues: Queues;
  readonly references: LateReferences;
}

/** What came into the bucket since may lie anywhere: then nobody knows its lowest index. */
export function moveRow(
  { row, lowest, until }: Extract<Command, { type: 'copyRow' }>,
  { queues, references }: Moving,
  entry: Entry,
  out: StateWriter,
): ApplyResult {
  const queue = queues.get(row.queueId);
  const bucket = bucketOf(row.baseOffset + row.count - 1);
  const isPlain = queue !== undefined && queue.compaction === undefined;
  const isSame = isPlain && until === Math.min(queue.endOffset, bucketEnd(bucket));
  if (!isSame || row.baseOffset < queue.startOffset) return { type: 'copied', moved: false };
  references.count(row.queueId, bucket, Math.min(lowest, entry.index), out);
  out.moveIndex({ ...row, index: entry.index, term: entry.term }, []);
  return { type: 'copied', moved: true };
}
