/**
 * Where the batches lie that queues show (internals rule 7): one that is appended again keeps all
 * but its place, and what is not deleted lies above every trim point.
 */
import type { LogIndex, ShardId } from '../../../raft/types.ts';
import type { QueueId } from '../../broker/commands.ts';
import type { QueueIndexRow } from '../../broker/state-port.ts';
import { expect } from '../failure.ts';

interface Placed {
  readonly row: QueueIndexRow;
  readonly batch: string;
}

export class RowPlaces {
  /** Per shard and queue, by base offset: ascending. */
  readonly #shards = new Map<ShardId, Map<QueueId, Map<number, Placed>>>();

  shows(shard: ShardId, row: QueueIndexRow, batch: string): void {
    const queues = this.#shards.get(shard) ?? new Map<QueueId, Map<number, Placed>>();
    this.#shards.set(shard, queues);
    const rows = queues.get(row.queueId) ?? new Map<number, Placed>();
    queues.set(row.queueId, rows.set(row.baseOffset, { row, batch }));
  }

  moves(shard: ShardId, row: QueueIndexRow, batch: string): void {
    const rows = this.#shards.get(shard)?.get(row.queueId);
    const known = rows?.get(row.baseOffset);
    const what = () => `shard ${shard}: ${JSON.stringify(row)} ${batch}, ${JSON.stringify(known)}`;
    expect(known !== undefined && known.batch === batch, 'row-body', what);
    const { index, term } = row;
    const before = JSON.stringify({ ...known!.row, index, term });
    const isSame = JSON.stringify({ ...known!.row, ...row }) === before;
    expect(isSame && index > known!.row.index, 'row-kept', what);
    rows!.set(row.baseOffset, { row, batch });
  }

  /** `starts`: as the trim leaves them. */
  trimmed(shard: ShardId, logTrim: LogIndex, startOf: (queueId: QueueId) => number): void {
    for (const [queueId, rows] of this.#shards.get(shard) ?? []) {
      const start = startOf(queueId);
      for (const [baseOffset, { row }] of rows) {
        if (baseOffset + row.count <= start) rows.delete(baseOffset);
        else {
          const what = () => `shard ${shard}: the log goes to ${logTrim}, ${JSON.stringify(row)}`;
          expect(row.index > logTrim, 'row-there', what);
        }
      }
    }
  }

  closed(shard: ShardId, queueId: QueueId): void {
    this.#shards.get(shard)?.delete(queueId);
  }
}
