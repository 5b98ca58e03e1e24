/**
 * Queues of the shard: which are open, and where they begin and end.
 *
 *   startOffset              endOffset
 *        v                       v
 *   ─────┬───────────┬───────────┐
 *   gone │ batch     │ batch     │ next
 *   ─────┴───────────┴───────────┘
 *        ^ startIndex: no plain batch from here on lies in an earlier log entry (what was shown
 *          late, or was appended again, may: see late-references.ts)
 *
 * Offsets are dense: a batch gets them at apply, in log order, and keeps them.
 */
import assert from 'node:assert';
import type { LogIndex, ShardTimeMs } from '../../raft/types.ts';
import type { QueueView } from './api.ts';
import { ByteReader, ByteWriter, FormatError, readVersioned } from './bytes.ts';
import type { Command, QueueCompaction, QueueId, Refusal, StoredAt } from './commands.ts';
import type { StateRow, StateWriter } from './state-port.ts';

export interface QueueState extends QueueView {
  open: boolean;
  startOffset: number;
  endOffset: number;
  cumulativeBytes: number;
  startIndex: LogIndex;
  /** False: only a lower bound is known, from a trim that did not see what the queue holds now. */
  isStartExact: boolean;
  minQueueEpoch: number;
  compaction: QueueCompaction | undefined;
  readonly key: Uint8Array;
}

export interface NewBatch {
  /** The entry with the messages; for a committed half message its prepare entry. */
  readonly at: StoredAt;
  readonly count: number;
  readonly bytes: number;
  readonly storedAtMs: ShardTimeMs;
}

export interface QueueTrim {
  readonly queueId: QueueId;
  readonly startOffset: number;
  readonly startIndex: LogIndex;
}

type CommandOf<Type extends Command['type']> = Extract<Command, { type: Type }>;

const VERSION = 1;
/** Of a queue that was fenced: its `minQueueEpoch` comes last. */
const FENCED_VERSION = 2;
/** Of a queue that is compacted: its `minQueueEpoch`, 0 too, then how. */
const COMPACTED_VERSION = 3;
/** First byte of a row after its version. On disk: never renumber. */
const CLOSED = 0;
const OPEN = 1;
const OPEN_START_INEXACT = 2;

export class Queues {
  readonly #open = new Map<QueueId, QueueState>();
  /** Closed ids and the entries that closed them, oldest first. */
  readonly #closed = new Map<QueueId, LogIndex>();
  readonly #maxClosed: number;

  constructor(maxClosedQueues: number) {
    this.#maxClosed = maxClosedQueues;
  }

  get(queueId: QueueId): QueueState | undefined {
    return this.#open.get(queueId);
  }

  all(): IterableIterator<QueueState> {
    return this.#open.values();
  }

  isClosed(queueId: QueueId): boolean {
    return this.#closed.has(queueId);
  }

  /** Idempotent. False: the queue was closed before, for good. */
  open(
    { compaction, queue, queueId, topicId }: Omit<CommandOf<'openQueue'>, 'type'>,
    out: StateWriter,
  ): boolean {
    if (this.#closed.has(queueId)) return false;
    const known = this.#open.get(queueId);
    if (known !== undefined) {
      assert(known.topicId === topicId && known.queue === queue, 'queue id used twice');
      return true;
    }
    const state = newQueue(queueId, topicId, queue);
    state.compaction = compaction;
    this.#open.set(queueId, state);
    writeQueue(state, out);
    return true;
  }

  /** Idempotent. Also remembers an id never seen here: its `openQueue` may still be on its way. */
  close(queueId: QueueId, index: LogIndex, out: StateWriter): void {
    if (this.#closed.has(queueId)) return;
    const known = this.#open.get(queueId);
    if (known !== undefined) {
      known.open = false;
      this.#open.delete(queueId);
      out.dropIndexBelow(queueId, Number.MAX_SAFE_INTEGER);
    }
    this.#closed.set(queueId, index);
    const value = new ByteWriter(16).u8(VERSION).u8(CLOSED).uint(index).finish();
    out.put('queue', queueKey(queueId), value);
    this.#forgetClosed(out);
  }

  /** Idempotent; a fence that came late changes nothing. */
  fence(queueId: QueueId, minQueueEpoch: number, out: StateWriter): void {
    const queue = this.#open.get(queueId);
    if (queue === undefined || queue.minQueueEpoch >= minQueueEpoch) return;
    queue.minQueueEpoch = minQueueEpoch;
    writeQueue(queue, out);
  }

  /** Gives the batch the next offsets; returns the first of them. */
  append(queue: QueueState, batch: NewBatch, out: StateWriter): number {
    const baseOffset = queue.endOffset;
    if (queue.startOffset === baseOffset) {
      queue.startIndex = batch.at.index;
      queue.isStartExact = true;
    }
    queue.endOffset = baseOffset + batch.count;
    queue.cumulativeBytes += batch.bytes;
    assert(Number.isSafeInteger(queue.endOffset) && Number.isSafeInteger(queue.cumulativeBytes));
    out.putIndex({
      queueId: queue.queueId,
      baseOffset,
      count: batch.count,
      index: batch.at.index,
      term: batch.at.term,
      storedAtMs: batch.storedAtMs,
      cumulativeBytes: queue.cumulativeBytes,
    });
    writeQueue(queue, out);
    return baseOffset;
  }

  /**
   * Raises the start offset; false when there is nothing to raise. `startIndex` 0 says that the
   * proposer saw no message from `startOffset` on; what came since lies above its `logTrim`.
   */
  trim(trim: QueueTrim, logTrim: LogIndex, out: StateWriter): boolean {
    const queue = this.#open.get(trim.queueId);
    if (queue === undefined || trim.startOffset < queue.startOffset) return false;
    assert(trim.startOffset <= queue.endOffset, 'trim past the end of a queue');
    const startRises = trim.startOffset > queue.startOffset;
    queue.startOffset = trim.startOffset;
    const isEmpty = queue.endOffset === queue.startOffset;
    const given = trim.startIndex === 0 ? logTrim + 1 : trim.startIndex;
    // Both are lower bounds of the plain batches that stay, so the higher one is too.
    queue.startIndex = isEmpty ? 0 : Math.max(given, queue.startIndex);
    if (startRises || trim.startIndex !== 0) queue.isStartExact = isEmpty || trim.startIndex !== 0;
    writeQueue(queue, out);
    if (startRises) out.dropIndexBelow(queue.queueId, queue.startOffset);
    return startRises;
  }

  /** Lowest log index that a plain batch of any queue lies at; with `bounds`: may lie at. */
  lowestIndex(which: 'exact' | 'bounds'): LogIndex | undefined {
    let lowest: LogIndex | undefined;
    for (const queue of this.#open.values()) {
      if (queue.startOffset === queue.endOffset) continue;
      if (which === 'exact' && !queue.isStartExact) continue;
      if (lowest === undefined || queue.startIndex < lowest) lowest = queue.startIndex;
    }
    return lowest;
  }

  load(rows: readonly StateRow[]): void {
    const closed: [QueueId, LogIndex][] = [];
    for (const { key, value } of rows) {
      const queueId = new ByteReader(key).u32be();
      const version = value[0] === COMPACTED_VERSION ? COMPACTED_VERSION : fencedVersion(value);
      const from = readVersioned(value, version);
      const kind = from.u8();
      if (kind === CLOSED) closed.push([queueId, from.uint()]);
      else {
        const queue = readQueue(queueId, kind, from);
        if (version >= FENCED_VERSION) queue.minQueueEpoch = from.uint();
        if (version >= COMPACTED_VERSION) queue.compaction = readCompaction(from);
        this.#open.set(queueId, queue);
      }
      from.expectEnd();
    }
    closed.sort((a, b) => a[1] - b[1]);
    for (const [queueId, index] of closed) this.#closed.set(queueId, index);
  }

  #forgetClosed(out: StateWriter): void {
    if (this.#closed.size <= this.#maxClosed) return;
    for (const queueId of this.#closed.keys()) {
      this.#closed.delete(queueId);
      out.put('queue', queueKey(queueId), undefined);
      return;
    }
  }
}

function newQueue(queueId: QueueId, topicId: string, queue: number): QueueState {
  return {
    queueId,
    topicId,
    queue,
    open: true,
    startOffset: 0,
    endOffset: 0,
    cumulativeBytes: 0,
    startIndex: 0,
    isStartExact: true,
    minQueueEpoch: 0,
    compaction: undefined,
    key: queueKey(queueId),
  };
}

/** Of a write to the queue; undefined = its queue epoch is new enough. */
export function fenced(
  { minQueueEpoch, topicId }: Pick<QueueView, 'minQueueEpoch' | 'topicId'>,
  queueEpoch: number | undefined,
): Extract<Refusal, { reason: 'QUEUE_FENCED' }> | undefined {
  const given = queueEpoch ?? 0;
  if (given >= minQueueEpoch) return undefined;
  return { reason: 'QUEUE_FENCED', topicId, minQueueEpoch, given };
}

export interface QueueWrite {
  readonly count: number;
  readonly queueEpoch?: number | undefined;
  readonly keys?: readonly unknown[] | undefined;
  /** It is to be shown later, if at all. */
  readonly isHidden: boolean;
}

/** Undefined = the queue takes it. */
export function writeRefusal(queue: QueueView, write: QueueWrite): Refusal | undefined {
  const { compaction, queueId } = queue;
  const fence = fenced(queue, write.queueEpoch);
  if (fence !== undefined || compaction === undefined) return fence;
  if (write.isHidden) return { reason: 'TOPIC_COMPACTED', queueId };
  return write.keys?.length === write.count ? undefined : { reason: 'KEY_REQUIRED', queueId };
}

function queueKey(queueId: QueueId): Uint8Array {
  return new ByteWriter(4).u32be(queueId).finishCopy();
}

/**
 * Row: version, kind, topicId, queue, startOffset, kept, startIndex, cumulativeBytes, fence,
 * compaction.
 */
function writeQueue(queue: QueueState, out: StateWriter): void {
  const { compaction, minQueueEpoch } = queue;
  const uncompacted = minQueueEpoch === 0 ? VERSION : FENCED_VERSION;
  const version = compaction === undefined ? uncompacted : COMPACTED_VERSION;
  const value = new ByteWriter(64).u8(version);
  value.u8(queue.isStartExact ? OPEN : OPEN_START_INEXACT);
  value.text(queue.topicId).uint(queue.queue);
  value.uint(queue.startOffset).uint(queue.endOffset - queue.startOffset);
  value.uint(queue.startIndex).uint(queue.cumulativeBytes);
  if (version >= FENCED_VERSION) value.uint(minQueueEpoch);
  if (compaction !== undefined) value.uint(compaction.minLagMs).uint(compaction.tombstoneMs);
  out.put('queue', queue.key, value.finish());
}

function fencedVersion(value: Uint8Array): number {
  return value[0] === FENCED_VERSION ? FENCED_VERSION : VERSION;
}

function readCompaction(from: ByteReader): QueueCompaction {
  return { minLagMs: from.uint(), tombstoneMs: from.uint() };
}

function readQueue(queueId: QueueId, kind: number, from: ByteReader): QueueState {
  if (kind !== OPEN && kind !== OPEN_START_INEXACT) throw new FormatError('not a queue');
  const state = newQueue(queueId, from.text(), from.uint());
  state.isStartExact = kind === OPEN;
  state.startOffset = from.uint();
  state.endOffset = state.startOffset + from.uint();
  state.startIndex = from.uint();
  state.cumulativeBytes = from.uint();
  return state;
}
