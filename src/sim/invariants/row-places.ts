/**
 * Where the batches lie that queues show (internals rule 7): one that is appended again keeps all
 * but its place, one that takes the place of several begins and ends where they did, and what is
 * not deleted lies above every trim point.
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
  /** Per shard and queue, by base offset. */
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

  /** What is left of several has no name of its own. Some may have been deleted, up to `start`. */
  merges(shard: ShardId, row: QueueIndexRow, replaced: readonly number[], start: number): void {
    const rows = this.#shards.get(shard)?.get(row.queueId);
    const end = row.baseOffset + row.count;
    const inside = [...(rows?.values() ?? [])]
      .map((placed) => placed.row)
      .filter(({ baseOffset }) => row.baseOffset <= baseOffset && baseOffset < end)
      .sort((a, b) => a.baseOffset - b.baseOffset);
    const what = () => `shard ${shard}: ${JSON.stringify(row)}, ${JSON.stringify(inside)}`;
    const first = inside[0]?.baseOffset ?? end;
    const ends = inside.map(({ baseOffset, count }) => baseOffset + count - 1);
    const isBegun = first === row.baseOffset || first <= start;
    const isWhole = isBegun && ends.at(-1) === end - 1;
    const there = replaced.filter((last) => last >= start);
    expect(isWhole && ends.slice(0, -1).join() === there.join(), 'row-stretch', what);
    const { cumulativeBytes, storedAtMs } = inside.at(-1)!;
    const isSame = row.cumulativeBytes === cumulativeBytes && row.storedAtMs === storedAtMs;
    expect(isSame && inside.every(({ index }) => index < row.index), 'row-kept', what);
    for (const { baseOffset } of inside) rows!.delete(baseOffset);
    rows!.set(row.baseOffset, { row, batch: '' });
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
