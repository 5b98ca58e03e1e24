/**
 * Bodies that were appended again before any queue showed them (internals rule 7): a queue must
 * point at the copy that was written last, as the log before it may be gone.
 */
import type { Entry, LogIndex, ShardId } from '../../../raft/types.ts';
import type { ApplyResult, Command } from '../../broker/commands.ts';
import { expect } from '../failure.ts';

export class CopiedBodies {
  /** Of copies: the first write. */
  readonly #firsts = new Map<string, LogIndex>();
  /** Of first writes: the last copy. */
  readonly #places = new Map<string, LogIndex>();

  applied(shard: ShardId, { index }: Entry, command: Command, result: ApplyResult): void {
    if (command.type !== 'copy' || result.type !== 'copied' || !result.moved) return;
    this.#firsts.set(`${shard}/${index}`, command.id.index);
    this.#places.set(`${shard}/${command.id.index}`, index);
  }

  /** The first write of what a queue shows at `index`, which must be where it lies now. */
  firstOf(shard: ShardId, index: LogIndex): LogIndex {
    const first = this.#firsts.get(`${shard}/${index}`) ?? index;
    const place = this.#places.get(`${shard}/${first}`) ?? first;
    const detail = () => `shard ${shard}: a queue shows ${first} at ${index}, it lies at ${place}`;
    expect(index === place, 'body-place', detail);
    return first;
  }
}
