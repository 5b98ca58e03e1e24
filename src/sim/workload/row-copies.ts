/** A leader that appends again what queues show: one after the other, as production does. */
import type { Entry, LogIndex, ShardId } from '../../../raft/types.ts';
import type { Command } from '../../broker/commands.ts';
import { bucketOf } from '../../broker/late-references.ts';
import { rowCommand } from '../../shards/copy-forward.ts';
import { findFront, type TrimDecision, type TrimSource } from '../../shards/retention.ts';
import { lowestOnes, type RowCopy } from '../../shards/row-copies.ts';
import type { SimNode } from '../node.ts';
import type { Request, Session } from './session.ts';
import { taggedOf, untagged } from './values.ts';

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

  /** `compacted`: by bucket, the entry that compacted it since the decision. */
  copy(
    shard: ShardId,
    leader: SimNode,
    [first, ...others]: readonly RowCopy[],
    compacted: ReadonlyMap<string, LogIndex> = new Map(),
  ): void {
    if (first === undefined || !leader.isUp) return;
    const { baseOffset, count, index, queueId, term } = first.row;
    const bucket = `${queueId}/${bucketOf(baseOffset + count - 1)}`;
    const read = (error: Error | undefined, [entry]: readonly Entry[]): void => {
      // What was given up meanwhile was copied before, or is gone: the rows say which.
      if (error !== undefined || entry?.term !== term) return;
      const request = requestOf(rowCommand(first, entry, compacted.get(bucket)), entry);
      this.#session.request(
        shard,
        request,
        (reply) => {
          if (reply.status !== 'applied') return;
          const { index: copiedAt, result } = reply;
          const isMoved = result.type === 'copied' && result.moved;
          if (isMoved) this.#session.cluster.judge.coverage.reach('shown batch copied');
          const at = isMoved ? new Map([...compacted, [bucket, copiedAt]]) : compacted;
          this.copy(shard, leader, others, at);
        },
        leader,
      );
    };
    const cached = leader.driver!.cachedEntries(shard, index, index, 1);
    if (cached !== undefined) read(undefined, cached);
    else leader.disk.read(shard, index, index, 1, read);
  }
}

/** What is left of a compacted row has no name, and is looked into. */
function requestOf(command: Command, entry: Entry): Request {
  if (command.type === 'compactRows') return { command, messages: untagged(entry).payload };
  return { command, batch: taggedOf(entry)?.batch ?? '' };
}
