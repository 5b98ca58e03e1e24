/**
 * Index rows whose batches were appended again, alone or as one with others before them, and that
 * LevelDB does not hold so yet. It would still answer where they were, and the log there may be
 * gone; where the state was built again after that, it would say that there are none.
 */
import type { ShardId } from '../../raft/types.ts';
import type { QueueId } from '../broker/commands.ts';
import type { QueueIndexRow } from '../broker/state-port.ts';

interface MovedOfQueue {
  readonly shard: ShardId;
  /** By last offset, as in LevelDB. */
  readonly rows: Map<number, QueueIndexRow>;
  /** The same, once somebody has asked. */
  ascending: readonly QueueIndexRow[] | undefined;
}

export class MovedRows {
  readonly #queues = new Map<QueueId, MovedOfQueue>();

  /** `replaced` = last offsets of the rows that are part of it now, but for the last one. */
  add(shard: ShardId, row: QueueIndexRow, replaced: readonly number[]): void {
    const queue = this.#queues.get(row.queueId) ?? { shard, rows: new Map(), ascending: undefined };
    for (const last of replaced) queue.rows.delete(last);
    queue.rows.set(lastOffsetOf(row), row);
    queue.ascending = undefined;
    this.#queues.set(row.queueId, queue);
  }

  /** LevelDB holds it: one that was moved again since is not meant. */
  readable(row: QueueIndexRow): void {
    const queue = this.#queues.get(row.queueId);
    const last = lastOffsetOf(row);
    if (queue?.rows.get(last) === row) this.#remove(queue, row.queueId, [last]);
  }

  /** Nobody asks for them any more. `Number.MAX_SAFE_INTEGER` = the queue is closed. */
  dropBelow(queueId: QueueId, startOffset: number): void {
    const queue = this.#queues.get(queueId);
    if (queue === undefined) return;
    const below = [...queue.rows.keys()].filter((last) => last < startOffset);
    this.#remove(queue, queueId, below);
  }

  /** Ascending; what comes later does not change them. */
  of(queueId: QueueId): readonly QueueIndexRow[] {
    const queue = this.#queues.get(queueId);
    if (queue === undefined) return [];
    queue.ascending ??= [...queue.rows.values()].sort((a, b) => a.baseOffset - b.baseOffset);
    return queue.ascending;
  }

  forgetShard(shard: ShardId): void {
    for (const [queueId, queue] of this.#queues) {
      if (queue.shard === shard) this.#queues.delete(queueId);
    }
  }

  #remove(queue: MovedOfQueue, queueId: QueueId, lastOffsets: readonly number[]): void {
    for (const last of lastOffsets) queue.rows.delete(last);
    queue.ascending = undefined;
    if (queue.rows.size === 0) this.#queues.delete(queueId);
  }
}

function lastOffsetOf(row: QueueIndexRow): number {
  return row.baseOffset + row.count - 1;
}
