/**
 * What the committed entries did, as the first replica to apply each of them reported it: the truth
 * that what clients were told is compared with. That other replicas agree is the matter of the
 * invariants.
 */
import type { LogIndex, ShardId } from '../../../raft/types.ts';
import { EntryType } from '../../../raft/types.ts';
import { decodeCommand } from '../../broker/command-codec.ts';
import type { ApplyResult, Command, QueueId } from '../../broker/commands.ts';
import { META_SHARD } from '../../cluster/birth-placement.ts';
import { AppliedOnce } from '../invariants/applied-once.ts';
import { DenseOffsets } from '../invariants/dense-offsets.ts';
import { HalfHidden } from '../invariants/half-hidden.ts';
import type { Applied } from '../machine.ts';
import { taggedOf } from '../workload/values.ts';

export interface Shown {
  readonly batch: string;
  readonly baseOffset: number;
  readonly count: number;
}

export class Ledger {
  readonly #queues = new Map<QueueId, Shown[]>();
  /** The batch that each entry holds. */
  readonly #batches = new Map<string, string>();
  /** Highest offset committed per group and queue, and as it stands. */
  readonly #offsets = new Map<string, number>();
  readonly #dense = new DenseOffsets();
  readonly #half = new HalfHidden();
  readonly once = new AppliedOnce();

  /** In log order of each shard, every index once. */
  applied(shard: ShardId, { entry, result, effects }: Applied): void {
    const isCommand = entry.type === EntryType.command && shard !== META_SHARD;
    const command = isCommand ? decodeCommand(entry.head) : undefined;
    this.once.applied(shard, entry, command, result);
    const batch = taggedOf(entry)?.batch ?? '';
    if (batch !== '') this.#batches.set(`${shard}/${entry.index}`, batch);
    if (isPrepared(result)) this.#half.prepared(shard, entry.index);
    for (const row of effects.shown) {
      this.#half.shows(shard, entry, command, row);
      this.#dense.shows(row);
      this.#show(shard, row.queueId, row.index, row);
    }
    if (command?.type === 'commitOffsets' && result.type === 'offsets') this.#commits(command);
  }

  #show(shard: ShardId, queueId: QueueId, at: LogIndex, row: Omit<Shown, 'batch'>): void {
    const batch = this.#batches.get(`${shard}/${at}`) ?? '';
    const { baseOffset, count } = row;
    const queue = this.#queues.get(queueId);
    if (queue === undefined) this.#queues.set(queueId, [{ batch, baseOffset, count }]);
    else queue.push({ batch, baseOffset, count });
  }

  #commits({ group, topicId, offsets }: Extract<Command, { type: 'commitOffsets' }>): void {
    for (const { queue, offset } of offsets) {
      const key = offsetKey(group, topicId, queue);
      this.#offsets.set(key, Math.max(offset, this.#offsets.get(key) ?? 0));
    }
  }

  shown(queueId: QueueId): readonly Shown[] {
    return this.#queues.get(queueId) ?? [];
  }

  queues(): Iterable<QueueId> {
    return this.#queues.keys();
  }

  committedOffset(group: string, topicId: string, queue: number): number {
    return this.#offsets.get(offsetKey(group, topicId, queue)) ?? 0;
  }
}

function isPrepared(result: ApplyResult): boolean {
  return result.type === 'prepared' && !result.duplicate;
}

function offsetKey(group: string, topicId: string, queue: number): string {
  return `${group}/${topicId}/${queue}`;
}
