/** A leader that appends again what queues show: one after the other, as production does. */
import type { Entry, ShardId } from '../../../raft/types.ts';
import { rowCommand } from '../../shards/copy-forward.ts';
import { findFront, type TrimDecision, type TrimSource } from '../../shards/retention.ts';
import { lowestOnes, type RowCopy } from '../../shards/row-copies.ts';
import type { SimNode } from '../node.ts';
import type { Session } from './session.ts';
import { taggedOf } from './values.ts';

/** Histories are short: so many rows are copied long before that would be worth it. */
const EARLY_ROWS = 4;

/** Of a decision that copies none by itself: the lowest ones of the shard. */
export async function withEarlyRows(
  source: TrimSource,
  decision: TrimDecision,
): Promise<TrimDecision> {
  if (decision.rowCopies.length > 0) return decision;
  const fronts = [];
  for (const queue of source.data.queues()) {
    const front = await findFront(source, queue).catch(() => undefined);
    if (front !== undefined) fronts.push(front);
  }
  const { candidates } = await lowestOnes(source, fronts).catch(() => ({ candidates: [] }));
  const rowCopies = candidates.flatMap(({ row }) => row ?? []).slice(0, EARLY_ROWS);
  return { ...decision, rowCopies };
}

export class RowCopies {
  readonly #session: Session;

  constructor(session: Session) {
    this.#session = session;
  }

  copy(shard: ShardId, leader: SimNode, [first, ...others]: readonly RowCopy[]): void {
    if (first === undefined || !leader.isUp) return;
    const { index, term } = first.row;
    const read = (error: Error | undefined, [entry]: readonly Entry[]): void => {
      // What was given up meanwhile was copied before, or is gone: the rows say which.
      if (error !== undefined || entry?.term !== term) return;
      const { batch = '' } = taggedOf(entry) ?? {};
      const request = { command: rowCommand(first, entry), batch };
      this.#session.request(
        shard,
        request,
        (reply) => {
          if (reply.status !== 'applied') return;
          const { result } = reply;
          const isMoved = result.type === 'copied' && result.moved;
          if (isMoved) this.#session.cluster.judge.coverage.reach('shown batch copied');
          this.copy(shard, leader, others);
        },
        leader,
      );
    };
    const cached = leader.driver!.cachedEntries(shard, index, index, 1);
    if (cached !== undefined) read(undefined, cached);
    else leader.disk.read(shard, index, index, 1, read);
  }
}
