/**
 * Index rows whose batches were appended again and that LevelDB does not hold so yet: it would
 * still answer where they were, and the log there may be gone.
 */
import type { ShardId } from '../../raft/types.ts';
import type { QueueIndexRow } from '../broker/state-port.ts';

export class MovedRows {
  readonly #shards = new Map<ShardId, Map<string, QueueIndexRow>>();

  add(shard: ShardId, row: QueueIndexRow): void {
    const known = this.#shards.get(shard) ?? new Map<string, QueueIndexRow>();
    this.#shards.set(shard, known.set(nameOf(row), row));
  }

  /** LevelDB holds it: one that was moved again since is not meant. */
  readable(shard: ShardId, row: QueueIndexRow): void {
    const known = this.#shards.get(shard);
    if (known?.get(nameOf(row)) === row) known.delete(nameOf(row));
  }

  /** What LevelDB answered, as it is now. */
  corrected(shard: ShardId, rows: readonly QueueIndexRow[]): readonly QueueIndexRow[] {
    const known = this.#shards.get(shard);
    if (known === undefined || known.size === 0) return rows;
    return rows.map((row) => known.get(nameOf(row)) ?? row);
  }

  forgetShard(shard: ShardId): void {
    this.#shards.delete(shard);
  }
}

function nameOf({ queueId, baseOffset }: QueueIndexRow): string {
  return `${queueId}/${baseOffset}`;
}
