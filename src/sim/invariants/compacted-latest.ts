/**
 * Compacted queues, told from the logs alone: of each key the newest message stays, and whatever
 * may still be read; what compaction appends again keeps its offset, its bytes, its time and its
 * name; what was hidden once does not come back.
 */
import type { Entry, LogIndex, ShardId, ShardTimeMs } from '../../../raft/types.ts';
import type { DataShard } from '../../broker/api.ts';
import type { ApplyResult, Command, QueueCompaction, QueueId } from '../../broker/commands.ts';
import { bucketEnd, bucketOf } from '../../broker/late-references.ts';
import { LATE_REFERENCE_OFFSETS } from '../../broker/limits.ts';
import { fieldEnd } from '../../shards/message-slice.ts';
import { expect } from '../failure.ts';
import { untagged } from '../workload/values.ts';

type CommandOf<Type extends Command['type']> = Extract<Command, { type: Type }>;

/** A message as somebody read it. */
export interface ReadMessage {
  readonly offset: number;
  readonly storedAtMs: ShardTimeMs;
  readonly firstIndex: LogIndex;
  readonly firstPosition: number;
  /** One character each. */
  readonly bytes: string;
}

interface Stored extends ReadMessage {
  readonly key: string;
  readonly isTombstone: boolean;
  /** Of its batch. */
  readonly lastOffset: number;
  /** No compaction took it away. */
  isLeft: boolean;
}

interface Queue {
  readonly shard: ShardId;
  readonly compaction: QueueCompaction;
  /** By offset. */
  readonly messages: Stored[];
}

/** What somebody could know who read a queue: where it ended, and the time. */
export interface ReadAt {
  readonly endOffset: number;
  readonly nowMs: ShardTimeMs;
}

export class CompactedLatest {
  readonly #startOf: (queueId: QueueId) => number;
  readonly #queues = new Map<QueueId, Queue>();
  /** Of the last entry that was applied. */
  readonly #times = new Map<ShardId, ShardTimeMs>();

  constructor(startOf: (queueId: QueueId) => number) {
    this.#startOf = startOf;
  }

  applied(shard: ShardId, entry: Entry, command: Command | undefined, result: ApplyResult): void {
    this.#times.set(shard, entry.timeMs);
    if (command === undefined) return;
    if (command.type === 'openQueue' && result.type === 'done') this.#opens(shard, command);
    else if (command.type === 'closeQueue') this.#queues.delete(command.queueId);
    else if (command.type === 'produce' && result.type === 'produced') {
      if (!result.duplicate) this.#stores(entry, command, result.baseOffset);
    } else if (command.type === 'compactRows' && result.type === 'copied' && result.moved) {
      this.#compacts(entry, command);
    } else if (command.type === 'trim' && result.type === 'trimmed') this.#trims(entry, command);
  }

  /** Only what is hidden is ever deleted. */
  #trims({ index, timeMs }: Entry, { queues }: CommandOf<'trim'>): void {
    for (const { queueId, startOffset } of queues) {
      const queue = this.#queues.get(queueId);
      if (queue === undefined) continue;
      const isShown = shownAt(queue, { endOffset: queue.messages.length, nowMs: timeMs });
      const going = queue.messages.slice(this.#startOf(queueId), startOffset);
      const lost = going.find(isShown);
      const what = () => `queue ${queueId}, entry ${index} deletes ${JSON.stringify(lost)}`;
      expect(lost === undefined, 'compacted-deleted', what);
    }
  }

  #opens(shard: ShardId, { compaction, queueId }: CommandOf<'openQueue'>): void {
    if (compaction === undefined || this.#queues.has(queueId)) return;
    this.#queues.set(queueId, { shard, compaction, messages: [] });
  }

  #stores(
    entry: Entry,
    { keys, queueId }: CommandOf<'produce'>,
    baseOffset: number | undefined,
  ): void {
    const messages = this.#queues.get(queueId)?.messages;
    if (messages === undefined) return;
    const what = () => `queue ${queueId} takes ${keys?.length} keys at ${baseOffset}`;
    expect(keys !== undefined && baseOffset === messages.length, 'compacted-keys', what);
    const bytes = messagesOf(entry);
    const lastOffset = messages.length + bytes.length - 1;
    for (const [position, { isTombstone, key }] of keys!.entries()) {
      messages.push({
        ...{ key, isTombstone, lastOffset, isLeft: true, offset: messages.length },
        ...{ storedAtMs: entry.timeMs, firstIndex: entry.index, firstPosition: position },
        bytes: bytes[position]!,
      });
    }
  }

  #compacts(entry: Entry, { left, row, runs }: CommandOf<'compactRows'>): void {
    const { queueId } = row;
    const queue = this.#queues.get(queueId)!;
    const bytes = messagesOf(entry);
    const kept = new Map<number, ReadMessage>();
    for (const { count, firstPosition, offset, ...others } of runs) {
      for (let at = 0; at < count; at++) {
        const message = { ...others, offset: offset + at, firstPosition: firstPosition + at };
        kept.set(message.offset, { ...message, bytes: bytes[kept.size] ?? '' });
      }
    }
    const what = () => `queue ${queueId}, entry ${entry.index}: ${JSON.stringify(row)}`;
    expect(bytes.length === kept.size, 'compacted-whole', what);
    for (const message of kept.values()) this.#expectTrue(queueId, message);
    this.#leaves(queue, entry, row, kept);
    const bucket = bucketOf(row.baseOffset + row.count - 1);
    // Some may have been deleted since they were counted; more may have been counted to come.
    const isLeft = queue.messages.filter((message) => {
      const isThere = message.isLeft && message.offset >= this.#startOf(queueId);
      return isThere && bucketOf(message.lastOffset) === bucket;
    });
    const least = isLeft.length + Math.max(0, bucketEnd(bucket) - queue.messages.length);
    expect(
      Math.min(least, LATE_REFERENCE_OFFSETS) <= left,
      'compacted-left',
      () => `${what()}: ${left}, not ${least}`,
    );
  }

  /** Of the row's messages those that are kept; `kept` may have no others. */
  #leaves(
    queue: Queue,
    { index, timeMs }: Entry,
    { baseOffset, count, queueId }: CommandOf<'compactRows'>['row'],
    kept: Map<number, ReadMessage>,
  ): void {
    const isShown = shownAt(queue, { endOffset: queue.messages.length, nowMs: timeMs });
    for (const message of queue.messages.slice(baseOffset, baseOffset + count)) {
      if (!message.isLeft) continue;
      message.isLeft = kept.delete(message.offset);
      const isDeleted = message.offset < this.#startOf(queueId);
      const isRight = message.isLeft || isDeleted || !isShown(message);
      const what = () => `queue ${queueId}, entry ${index} loses ${JSON.stringify(message)}`;
      expect(isRight, 'compacted-latest', what);
    }
    const others = () => `queue ${queueId}, entry ${index} brings back ${[...kept.keys()]}`;
    expect(kept.size === 0, 'compacted-whole', others);
  }

  #expectTrue(queueId: QueueId, read: ReadMessage): void {
    const stored = this.#queues.get(queueId)!.messages[read.offset];
    const what = () => `queue ${queueId}: ${JSON.stringify(read)}, ${JSON.stringify(stored)}`;
    expect(stored !== undefined && isSame(read, stored), 'compacted-true', what);
  }

  /**
   * Of a read from `startOffset` on that began at `began`: nothing is there that had to be hidden
   * then, and everything that had to be shown even when it ended.
   */
  expectRead(
    queueId: QueueId,
    startOffset: number,
    began: ReadAt,
    read: readonly ReadMessage[],
  ): void {
    const queue = this.#queues.get(queueId);
    if (queue === undefined) return;
    const what = ({ offset }: { offset: number }) => `queue ${queueId} offset ${offset}`;
    const isShownThen = shownAt(queue, began);
    const found = new Set<number>();
    for (const message of read) {
      this.#expectTrue(queueId, message);
      found.add(message.offset);
      const mayBe = isShownThen(queue.messages[message.offset]!);
      expect(mayBe, 'compacted-hidden', () => `${what(message)} is read`);
    }
    const ended = { endOffset: queue.messages.length, nowMs: this.#times.get(queue.shard)! };
    const isShownNow = shownAt(queue, ended);
    for (const message of queue.messages.slice(startOffset, began.endOffset)) {
      const isMissing = isShownNow(message) && !found.has(message.offset);
      expect(!isMissing, 'compacted-read', () => `${what(message)} is not read`);
    }
  }

  /** Of a replica that has applied everything. */
  expectState(shard: ShardId, data: DataShard): void {
    for (const [queueId, queue] of this.#queues) {
      if (queue.shard !== shard) continue;
      const { startOffset = 0 } = data.queue(queueId) ?? {};
      const nowMs = this.#times.get(shard)!;
      const live = new Map<number, number>();
      for (const newest of newestOf(queue, queue.messages.length).values()) {
        const known = data.compactedKeys.latest(queueId, newest.key);
        const what = () => `queue ${queueId}: ${JSON.stringify([newest, known])}`;
        const goneAtMs = goneAt(queue, newest);
        const mayBeForgotten = newest.offset < startOffset || (goneAtMs ?? nowMs + 1) <= nowMs;
        const isSame = known?.offset === newest.offset && known.goneAtMs === goneAtMs;
        expect(isSame || (known === undefined && mayBeForgotten), 'compacted-state', what);
        const bucket = bucketOf(newest.lastOffset);
        if (known !== undefined) live.set(bucket, (live.get(bucket) ?? 0) + 1);
      }
      for (let bucket = 0; bucket <= bucketOf(queue.messages.length); bucket++) {
        const is = data.compactedKeys.liveIn(queueId, bucket);
        const expected = live.get(bucket) ?? 0;
        const what = () => `queue ${queueId} bucket ${bucket}: ${is}, not ${expected}`;
        expect(is === expected, 'compacted-state', what);
      }
    }
  }
}

function messagesOf(entry: Entry): readonly string[] {
  const { payload } = untagged(entry);
  const found: string[] = [];
  for (let at = 0; at < payload.length; ) {
    const end = fieldEnd(payload, at);
    found.push(Buffer.from(payload.subarray(at, end)).toString('latin1'));
    at = end;
  }
  return found;
}

function isSame(read: ReadMessage, stored: ReadMessage): boolean {
  const isThere = read.storedAtMs === stored.storedAtMs && read.bytes === stored.bytes;
  const isNamed = read.firstIndex === stored.firstIndex;
  return isThere && isNamed && read.firstPosition === stored.firstPosition;
}

/** Of each key, as far as the queue went. */
function newestOf({ messages }: Queue, endOffset: number): ReadonlyMap<string, Stored> {
  return new Map(messages.slice(0, endOffset).map((message) => [message.key, message]));
}

function goneAt({ compaction }: Queue, { isTombstone, storedAtMs }: Stored) {
  return isTombstone ? storedAtMs + compaction.tombstoneMs : undefined;
}

/** The rule itself (docs/guarantees.md), without anything that is kept for it. */
function shownAt(queue: Queue, { endOffset, nowMs }: ReadAt): (message: Stored) => boolean {
  const newest = newestOf(queue, endOffset);
  return (message) => {
    if (nowMs < message.storedAtMs + queue.compaction.minLagMs) return true;
    const goneAtMs = goneAt(queue, message) ?? Number.POSITIVE_INFINITY;
    return newest.get(message.key) === message && nowMs < goneAtMs;
  };
}
