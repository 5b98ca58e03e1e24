/** Where a queue begins, and from where on its batches lie in the log in its own order. */
import type { LogIndex } from '../../raft/types.ts';
import type { DataShard, QueueView } from '../broker/api.ts';
import type { QueueId } from '../broker/commands.ts';
import type { LateBucket } from '../broker/late-references.ts';
import type { StartRow, StartSource } from './retention.ts';

export interface QueueFront {
  readonly queue: QueueView;
  /** Its start when this was found. */
  readonly before: number;
  /** Where it will begin. */
  readonly startOffset: number;
  /** The first row from there on that lies in the queue's order; undefined = none does. */
  readonly plain: StartRow | undefined;
}

/**
 * The first row from `row` on that stands in a bucket where nothing was appended again: from there
 * on indexes rise, but for the late ones that the buckets name.
 */
export async function firstPlain(
  data: DataShard,
  rowAt: StartSource['rowAt'],
  queueId: QueueId,
  row: StartRow | undefined,
): Promise<StartRow | undefined> {
  let found = row;
  while (found !== undefined) {
    const last = found.baseOffset + found.count - 1;
    const offset = data.uncountedFrom(queueId, last);
    if (offset === last) return found;
    found = await rowAt(queueId, offset);
  }
  return undefined;
}

export function lowestOf(buckets: Iterable<LateBucket>): LogIndex | undefined {
  let lowest: LogIndex | undefined;
  for (const bucket of buckets) lowest = Math.min(bucket.lowest, lowest ?? bucket.lowest);
  return lowest;
}
