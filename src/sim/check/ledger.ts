/**
 * What the committed entries did, as the first replica to apply each of them reported it: the truth
 * that what clients were told is compared with. That other replicas agree is the matter of the
 * invariants.
 */
import type { LogIndex, ShardId, ShardTimeMs } from '../../../raft/types.ts';
import { EntryType } from '../../../raft/types.ts';
import type { DataShard } from '../../broker/api.ts';
import { decodeCommand } from '../../broker/command-codec.ts';
import type { ApplyResult, Command, QueueId } from '../../broker/commands.ts';
import type { QueueIndexRow } from '../../broker/state-port.ts';
import { META_SHARD } from '../../cluster/birth-placement.ts';
import type { MovedRow } from '../effects.ts';
import { expect } from '../failure.ts';
import { AppliedOnce } from '../invariants/applied-once.ts';
import { ChecksCounted } from '../invariants/checks-counted.ts';
import { ClosedQueues } from '../invariants/closed-queues.ts';
import { CompactedLatest } from '../invariants/compacted-latest.ts';
import { CopiedBodies } from '../invariants/copied-bodies.ts';
import { DedupOnce } from '../invariants/dedup-once.ts';
import { DelayHidden } from '../invariants/delay-hidden.ts';
import { DeliveryRules } from '../invariants/delivery-rules.ts';
import { DenseOffsets } from '../invariants/dense-offsets.ts';
import { FencedQueues } from '../invariants/fenced-queues.ts';
import { GroupFencing } from '../invariants/group-fencing.ts';
import { HalfHidden } from '../invariants/half-hidden.ts';
import { PastOffsets, pastOf } from '../invariants/past-offsets.ts';
import { RowPlaces } from '../invariants/row-places.ts';
import { SpanningWhole } from '../invariants/spanning-whole.ts';
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
  readonly #rows = new Map<QueueId, QueueIndexRow[]>();
  /** The batch that each entry holds. */
  readonly #batches = new Map<string, string>();
  /** Where each delayed batch lies. */
  readonly #entries = new Map<string, readonly [ShardId, LogIndex]>();
  /** Per group and queue, as it stands. */
  readonly #offsets = new Map<string, number>();
  readonly #epochs = new Map<string, number>();
  readonly #starts = new Map<QueueId, number>();
  readonly #closed = new ClosedQueues();
  readonly #fenced = new FencedQueues();
  readonly #dense = new DenseOffsets();
  readonly #copies = new CopiedBodies();
  readonly #half = new HalfHidden(this.#copies);
  readonly #delays = new DelayHidden(this.#copies);
  readonly #fencing = new GroupFencing();
  readonly #past = new PastOffsets();
  readonly #places = new RowPlaces();
  readonly #keys = new DedupOnce();
  readonly #checks = new ChecksCounted();
  readonly #deliveries = new DeliveryRules(this);
  readonly compacted = new CompactedLatest((queueId) => this.startOf(queueId));
  readonly once = new AppliedOnce();
  readonly spanning = new SpanningWhole(this.#copies);

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
    const isHalf = command?.type === 'prepare' && isPrepared(result);
    if (isHalf) this.#half.prepared(shard, entry.index);
    for (const row of effects.shown) {
      if (command?.type === 'deliver') this.#delays.shows(shard, entry, row);
      else if (command?.type === 'resolve') this.spanning.shows(shard, entry, command, row);
      else this.#half.shows(shard, entry, command, row);
      this.#dense.shows(row);
      this.#closed.shows(row);
      this.#show(shard, row);
    }
    for (const moved of effects.moved) this.#moves(shard, moved, command!.type, batch);
    this.compacted.applied(shard, entry, command, result);
    if (command === undefined) return;
    this.#copies.applied(shard, entry, command, result);
    this.#delays.applied(shard, entry, command, result);
    this.#keys.applied(shard, entry, command, result);
    this.#fenced.applied(entry, command, result);
    this.#fencing.applied(entry.index, command, result);
    this.#checks.applied(shard, entry, command, result);
    this.#deliveries.applied(shard, entry, command, result);
    this.#transactions(shard, { entry, result, effects }, command);
    this.#applied(entry.timeMs, command, result);
    if (command.type === 'closeQueue') this.#places.closed(shard, command.queueId);
    if (result.type === 'trimmed') {
      this.#places.trimmed(shard, result.logTrim, (queueId) => this.startOf(queueId));
    }
  }

  #transactions(
    shard: ShardId,
    { entry, result, effects }: Pick<Applied, 'entry' | 'result' | 'effects'>,
    command: Command,
  ): void {
    if (command.type !== 'resolve') {
      const current = (group: string, topicId: string, queue: number) =>
        this.#offsets.get(offsetKey(group, topicId, queue));
      this.spanning.applied(shard, entry, command, result, current);
      return;
    }
    const hasMoved = effects.puts.some(({ name }) => name.startsWith('group-offset '));
    const moved = this.spanning.resolved(shard, entry, command, hasMoved);
    if (moved === undefined) return;
    this.#begins(moved.group);
    for (const { topicId, offsets } of moved.topics) {
      for (const { queue, offset } of offsets) {
        this.#stands(moved.group, topicId, queue, offset, entry.timeMs);
      }
    }
  }

  #applied(nowMs: ShardTimeMs, command: Command, result: ApplyResult): void {
    const isMoved = result.type === 'offsets';
    // A group begins with its first member, too.
    if (command.type === 'joinGroup') this.#begins(command.group);
    if (command.type === 'commitOffsets' && isMoved) this.#commits(command, result.epoch, nowMs);
    else if (command.type === 'resetOffsets' && isMoved) this.#resets(command, result.epoch, nowMs);
    else if (command.type === 'trim') this.#trims(command);
    else if (command.type === 'closeQueue') this.#closed.closes(command.queueId);
  }

  #show(shard: ShardId, row: QueueIndexRow): void {
    const { baseOffset, count, index, queueId } = row;
    const batch = this.#batches.get(`${shard}/${index}`) ?? '';
    const queue = this.#queues.get(queueId);
    if (queue === undefined) this.#queues.set(queueId, [{ batch, baseOffset, count }]);
    else queue.push({ batch, baseOffset, count });
    const rows = this.#rows.get(queueId);
    if (rows === undefined) this.#rows.set(queueId, [row]);
    else rows.push(row);
    this.#places.shows(shard, row, batch);
  }

  /** Whoever reads it from now on finds it there. */
  #moves(shard: ShardId, { row, replaced }: MovedRow, type: string, batch: string): void {
    const rows = this.#rows.get(row.queueId)!;
    const start = this.startOf(row.queueId);
    if (type === 'compactRows') this.#places.merges(shard, row, replaced, start);
    else this.#places.moves(shard, row, batch);
    const at = rows.findIndex(({ baseOffset }) => baseOffset === row.baseOffset);
    rows.splice(at, replaced.length + 1, row);
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
  #resets(
    { group, topicId, offsets }: CommandOf<'resetOffsets'>,
    epoch: number,
    nowMs: ShardTimeMs,
  ): void {
    const next = this.epochOf(group) + 1;
    expect(epoch === next, 'reset-epoch', () => `${group}: epoch ${epoch}, not ${next}`);
    this.#epochs.set(group, epoch);
    for (const { queue, offset } of offsets) this.#stands(group, topicId, queue, offset, nowMs);
  }

  #stands(group: string, topicId: string, queue: number, offset: number, nowMs: ShardTimeMs): void {
    const key = offsetKey(group, topicId, queue);
    this.#offsets.set(key, offset);
    this.#past.stands(key, offset, nowMs);
  }

  #commits(
    { group, topicId, offsets }: CommandOf<'commitOffsets'>,
    epoch: number,
    nowMs: ShardTimeMs,
  ): void {
    const now = Math.max(1, this.epochOf(group));
    expect(epoch === now, 'reset-epoch', () => `${group}: commit in epoch ${epoch}, not ${now}`);
    this.#epochs.set(group, epoch);
    for (const { queue, offset } of offsets) {
      const before = this.#offsets.get(offsetKey(group, topicId, queue)) ?? 0;
      this.#stands(group, topicId, queue, Math.max(offset, before), nowMs);
    }
  }

  shown(queueId: QueueId): readonly Shown[] {
    return this.#queues.get(queueId) ?? [];
  }

  /** The batch that holds the offset, which somebody has seen. */
  rowAt(queueId: QueueId, offset: number): QueueIndexRow {
    const rows = this.#rows.get(queueId) ?? [];
    let low = 0;
    let high = rows.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if (rows[middle]!.baseOffset <= offset) low = middle;
      else high = middle - 1;
    }
    const row = rows[low];
    const isThere = row !== undefined && offset < row.baseOffset + row.count;
    expect(isThere, 'queue-seen', () => `queue ${queueId} has no offset ${offset}`);
    return row!;
  }

  endOf(queueId: QueueId): number {
    const last = this.#rows.get(queueId)?.at(-1);
    return last === undefined ? 0 : last.baseOffset + last.count;
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

  /** Of a replica that has applied everything. */
  expectState(shard: ShardId, data: DataShard, logTrim: LogIndex): void {
    this.spanning.expectState(shard, data);
    this.#checks.expectState(shard, data);
    this.#delays.expectState(shard, data);
    this.#deliveries.expectState(shard, data, logTrim);
    this.compacted.expectState(shard, data);
    for (const group of data.groupNames('', Number.MAX_SAFE_INTEGER)) {
      for (const topicId of data.groupTopicIds(group)) {
        for (const { queue, offset } of data.groupOffsets(group, topicId)) {
          const expected = this.committed(group, topicId, queue).offset;
          const what = () => `${group} ${topicId}/${queue}: ${offset}, not ${expected}`;
          expect(offset === expected, 'offsets-kept', what);
          const place = offsetKey(group, topicId, queue);
          this.#past.expectState(place, pastOf(data, group, topicId, queue));
        }
      }
    }
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
