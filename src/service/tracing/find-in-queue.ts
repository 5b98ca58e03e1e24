/** Where in its queue a message stands: looked for from the time on when it can have come there. */
import type { LogIndex, ShardId } from '../../../raft/types.ts';
import type { QueueId } from '../../broker/commands.ts';
import type { FetchedBatch, ShardHost } from '../../shards/api.ts';

/** How far behind its time a message is looked for. */
const MAX_FETCHES = 64;
const FETCH_BYTES = 1024 * 1024;

export interface Search {
  readonly shard: ShardId;
  readonly queueId: QueueId;
  readonly index: LogIndex;
  readonly position: number;
  readonly fromMs: number;
}

type Found = { readonly offset: number; readonly atMs: number } | undefined;

/** From the first message of that time on, in slices, no further than a bound. */
export function findInQueue(host: ShardHost, search: Search, done: (shown: Found) => void): void {
  const { shard, queueId, fromMs } = search;
  if (host.data(shard).queue(queueId) === undefined) {
    done(undefined);
    return;
  }
  host.offsetAtTime(shard, queueId, fromMs, (error, offset) => {
    if (error === undefined) look(host, search, offset, MAX_FETCHES, done);
    else done(undefined);
  });
}

function look(
  host: ShardHost,
  search: Search,
  offset: number,
  left: number,
  done: (shown: Found) => void,
): void {
  const { shard, queueId } = search;
  const what = { shard, queueId, offset, maxBytes: FETCH_BYTES, maxMessages: 0 };
  host.fetch({ ...what, waitMs: 0, linearizable: false }, (outcome) => {
    if (outcome.status !== 'ok') {
      done(undefined);
      return;
    }
    const { batches, endOffset, nextOffset } = outcome;
    const found = batches.find((batch) => holds(batch, search));
    const isEnd = nextOffset >= endOffset || isPast(host, search, batches.at(-1));
    if (found !== undefined) {
      const at = found.baseOffset + search.position - found.firstPosition;
      done({ offset: at, atMs: found.row.storedAtMs });
    } else if (left > 1 && !isEnd) look(host, search, nextOffset, left - 1, done);
    else done(undefined);
  });
}

/** What a compacted queue shows stands in the order in which it was stored; much is hidden. */
function isPast(
  host: ShardHost,
  { index, queueId, shard }: Search,
  last: FetchedBatch | undefined,
): boolean {
  const isOrdered = host.data(shard).queue(queueId)?.compaction !== undefined;
  return isOrdered && last !== undefined && last.firstIndex > index;
}

function holds({ firstIndex, firstPosition, count }: FetchedBatch, search: Search): boolean {
  const { index, position } = search;
  return firstIndex === index && position >= firstPosition && position < firstPosition + count;
}
