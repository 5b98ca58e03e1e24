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
import { expect } from '../failure.ts';
import { AppliedOnce } from '../invariants/applied-once.ts';
import { ClosedQueues } from '../invariants/closed-queues.ts';
import { CopiedBodies } from '../invariants/copied-bodies.ts';
import { DedupOnce } from '../invariants/dedup-once.ts';
import { DelayHidden } from '../invariants/delay-hidden.ts';
import { DenseOffsets } from '../invariants/dense-offsets.ts';
import { GroupFencing } from '../invariants/group-fencing.ts';
import { HalfHidden } from '../invariants/half-hidden.ts';
import type { Applied } from '../machine.ts';
import type { Stand } from '../workload/history.ts';
import { taggedOf } from '../workload/values.ts';

type CommandOf<Type extends Command['type']> = Extract<Command, { type: Type }>;

export interface Shown {
  readonly batch: string;
  readonly baseOffset: number;
  readonly count: number;
}

export class Ledger {
  readonly #queues = new Map<QueueId, Shown[]>();
  /** The batch that each entry holds. */
  readonly #batches = new Map<string, string>();
  /** Where each delayed batch lies. */
  readonly #entries = new Map<string, readonly [ShardId, LogIndex]>();
  /** Per group and queue, as it stands. */
  readonly #offsets = new Map<string, number>();
  readonly #epochs = new Map<string, number>();
  readonly #starts = new Map<QueueId, number>();
  readonly #closed = new ClosedQueues();
  readonly #dense = new DenseOffsets();
  readonly #copies = new CopiedBodies();
  readonly #half = new HalfHidden(this.#copies);
  readonly #delays = new DelayHidden(this.#copies);
  readonly #fencing = new GroupFencing();
  readonly #keys = new DedupOnce();
  readonly once = new AppliedOnce();

  /** In log order of each shard, every index once. */
  applied(shard: ShardId, { entry, result, effects }: Applied): void {
    const isCommand = entry.type === EntryType.command && shard !== META_SHARD;
    const command = isCommand ? decodeCommand(entry.head) : undefined;
    this.once.applied(shard, entry, command, result);
    const batch = taggedOf(entry)?.batch ?? '';
    if (batch !== '') this.#batches.set(`${shard}/${entry.index}`, batch);
    if (command?.type === 'produce' && command.deliverAtMs !== undefined) {
      this.#entries.set(batch, [shard, entry.index]);
    }
    if (isPrepared(result)) this.#half.prepared(shard, entry.index);
    for (const row of effects.shown) {
      if (command?.type === 'deliver') this.#delays.shows(shard, entry, row);
      else this.#half.shows(shard, entry, command, row);
      this.#dense.shows(row);
      this.#closed.shows(row);
      this.#show(shard, row.queueId, row.index, row);
    }
    if (command === undefined) return;
    this.#copies.applied(shard, entry, command, result as ApplyResult);
    this.#delays.applied(shard, entry, command, result as ApplyResult);
    this.#keys.applied(entry, command, result as ApplyResult);
    this.#fencing.applied(entry.index, command, result as ApplyResult);
    this.#applied(command, result);
  }

  #applied(command: Command, result: ApplyResult): void {
    const isMoved = result.type === 'offsets';
    // A group begins with its first member, too.
    if (command.type === 'joinGroup') this.#begins(command.group);
    if (command.type === 'commitOffsets' && isMoved) this.#commits(command, result.epoch);
    else if (command.type === 'resetOffsets' && isMoved) this.#resets(command, result.epoch);
    else if (command.type === 'trim') this.#trims(command);
    else if (command.type === 'closeQueue') this.#closed.closes(command.queueId);
  }

  #show(shard: ShardId, queueId: QueueId, at: LogIndex, row: Omit<Shown, 'batch'>): void {
    const batch = this.#batches.get(`${shard}/${at}`) ?? '';
    const { baseOffset, count } = row;
    const queue = this.#queues.get(queueId);
    if (queue === undefined) this.#queues.set(queueId, [{ batch, baseOffset, count }]);
    else queue.push({ batch, baseOffset, count });
  }

  #trims({ queues }: CommandOf<'trim'>): void {
    for (const { queueId, startOffset } of queues) {
      this.#starts.set(queueId, Math.max(startOffset, this.startOf(queueId)));
    }
  }

  #begins(group: string): void {
    if (!this.#epochs.has(group)) this.#epochs.set(group, 1);
  }

  /** Each reset begins an epoch of its own. */
  #resets({ group, topicId, offsets }: CommandOf<'resetOffsets'>, epoch: number): void {
    const next = this.epochOf(group) + 1;
    expect(epoch === next, 'reset-epoch', () => `${group}: epoch ${epoch}, not ${next}`);
    this.#epochs.set(group, epoch);
    for (const { queue, offset } of offsets) {
      this.#offsets.set(offsetKey(group, topicId, queue), offset);
    }
  }

  #commits({ group, topicId, offsets }: CommandOf<'commitOffsets'>, epoch: number): void {
    const now = Math.max(1, this.epochOf(group));
    expect(epoch === now, 'reset-epoch', () => `${group}: commit in epoch ${epoch}, not ${now}`);
    this.#epochs.set(group, epoch);
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

  /** Delayed, and neither shown nor recalled so far. */
  waits(batch: string): boolean {
    const entry = this.#entries.get(batch);
    return entry !== undefined && this.#delays.waits(...entry);
  }

  startOf(queueId: QueueId): number {
    return this.#starts.get(queueId) ?? 0;
  }

  epochOf(group: string): number {
    return this.#epochs.get(group) ?? 0;
  }

  committed(group: string, topicId: string, queue: number): Stand {
    const offset = this.#offsets.get(offsetKey(group, topicId, queue)) ?? 0;
    return { epoch: this.epochOf(group), offset };
  }
}

function isPrepared(result: ApplyResult): boolean {
  return result.type === 'prepared' && !result.duplicate;
}

function offsetKey(group: string, topicId: string, queue: number): string {
  return `${group}/${topicId}/${queue}`;
}
