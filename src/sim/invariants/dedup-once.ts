/**
 * Dedup by business keys, told from the log alone: within its window a key is stored once in its
 * queue, and whoever sends it again is told where.
 */
import type { Entry, LogIndex, ShardId, ShardTimeMs } from '../../../raft/types.ts';
import type { ApplyResult, Command } from '../../broker/commands.ts';
import { expect } from '../failure.ts';

interface Known {
  readonly shard: ShardId;
  readonly index: LogIndex;
  readonly offset: number | undefined;
  readonly endMs: ShardTimeMs;
}

type Produced = Extract<ApplyResult, { type: 'produced' }>;
type Produce = Extract<Command, { type: 'produce' }>;

export class DedupOnce {
  /** By queue and key. Queues are of one shard. */
  readonly #known = new Map<string, Known>();

  applied(shard: ShardId, entry: Entry, command: Command, result: ApplyResult): void {
    if (command.type === 'recall' && result.type === 'recalled') {
      this.#forget((_, known) => known.shard === shard && known.index === command.index);
    } else if (command.type === 'closeQueue') {
      this.#forget((key) => key.startsWith(`${command.queueId}/`));
    } else if (command.type === 'produce' && result.type === 'produced') {
      // A repeated sequence is answered by the sequence.
      if (command.dedup !== undefined && command.producer === undefined) {
        this.#produced(shard, entry, command, result);
      }
    }
  }

  #produced(shard: ShardId, entry: Entry, { queueId, dedup }: Produce, result: Produced): void {
    const { keys, windowMs } = dedup!;
    for (const [i, key] of keys.entries()) {
      const name = `${queueId}/${key}`;
      const known = this.#known.get(name);
      const isLive = known !== undefined && known.endMs > entry.timeMs;
      const what = () => `entry ${entry.index}: ${name}, ${JSON.stringify([known, result])}`;
      expect(isLive === result.duplicate, 'dedup-once', what);
      const offset = result.baseOffset === undefined ? undefined : result.baseOffset + i;
      if (isLive) {
        const isSame = known.index === result.at.index && known.offset === offset;
        expect(isSame, 'dedup-first-answer', what);
      } else {
        this.#known.set(name, {
          shard,
          index: entry.index,
          offset,
          endMs: entry.timeMs + windowMs,
        });
      }
    }
  }

  #forget(isGone: (key: string, known: Known) => boolean): void {
    for (const [key, known] of this.#known) if (isGone(key, known)) this.#known.delete(key);
  }
}
