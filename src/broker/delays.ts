/**
 * Delayed batches: stored and replicated, in no queue until their time has come by shard time. Then
 * the leader names those that are due (`deliver`), and each gets the next offsets of its queue, in
 * the order of (time, log index); its bytes stay where they were written, or where the last `copy`
 * brought them. One that is recalled before is forgotten.
 */
import type { Entry, LogIndex, ShardTimeMs } from '../../raft/types.ts';
import { BodyPlaces } from './body-places.ts';
import { ByteReader, ByteWriter, readVersioned } from './bytes.ts';
import {
  type ApplyResult,
  type BatchId,
  type QueueId,
  refused,
  type StoredAt,
} from './commands.ts';
import { type Due, DueHeap } from './due-heap.ts';
import type { LateReferences } from './late-references.ts';
import type { Queues } from './queues.ts';
import type { StateRow, StateWriter } from './state-port.ts';

export interface DelayedBatch extends Due {
  readonly id: BatchId;
  /** Where its bytes lie now. */
  at: StoredAt;
  readonly queueId: QueueId;
  readonly count: number;
  readonly bytes: number;
}

const VERSION = 2;

export class Delays {
  readonly #queues: Queues;
  readonly #references: LateReferences;
  readonly #due = new DueHeap<DelayedBatch>();
  readonly #batches = new Map<LogIndex, DelayedBatch>();
  readonly places = new BodyPlaces<DelayedBatch>('delayed');

  constructor(queues: Queues, references: LateReferences) {
    this.#queues = queues;
    this.#references = references;
  }

  get count(): number {
    return this.#batches.size;
  }

  countIn(queueId: QueueId): number {
    let count = 0;
    for (const batch of this.#batches.values()) if (batch.queueId === queueId) count += 1;
    return count;
  }

  /** Of the first one that falls due. */
  get nextDueAtMs(): ShardTimeMs | undefined {
    return this.#due.first()?.dueAtMs;
  }

  due(nowMs: ShardTimeMs, limit: number): readonly BatchId[] {
    return this.#due.due(nowMs, limit).map(({ id }) => id);
  }

  get(index: LogIndex): DelayedBatch | undefined {
    return this.#batches.get(index);
  }

  add(
    entry: Entry,
    batch: { readonly queueId: QueueId; readonly count: number; readonly deliverAtMs: ShardTimeMs },
    out: StateWriter,
  ): void {
    const { queueId, count, deliverAtMs: dueAtMs } = batch;
    const id = { term: entry.term, index: entry.index };
    const bytes = entry.payload.length;
    const added = { id, at: id, queueId, count, bytes, dueAtMs, heapPosition: -1 };
    this.#keep(added);
    this.places.add(added);
    putDelayed(added, out);
  }

  /** Its bytes lie in `entry`, too: from now on only there. */
  move(id: BatchId, from: StoredAt, entry: Entry, out: StateWriter): ApplyResult {
    const moved = this.places.move(id, from, entry);
    if (moved !== undefined) putDelayed(moved, out);
    return { type: 'copied', moved: moved !== undefined };
  }

  /** Of those named: what is there, and due. The time of the entry decides, nobody's clock. */
  deliver(ids: readonly BatchId[], entry: Entry, out: StateWriter): ApplyResult {
    let count = 0;
    for (const id of ids) {
      const batch = this.get(id.index);
      if (batch?.id.term !== id.term || batch.dueAtMs > entry.timeMs) continue;
      this.#drop(batch, out);
      this.#show(batch, entry.timeMs, out);
      count += 1;
    }
    return { type: 'delivered', count };
  }

  recall(index: LogIndex, out: StateWriter): ApplyResult {
    const batch = this.get(index);
    if (batch === undefined) return refused({ reason: 'NOT_DELAYED' });
    this.#drop(batch, out);
    return { type: 'recalled', count: batch.count };
  }

  dropQueue(queueId: QueueId, out: StateWriter): void {
    for (const batch of this.#batches.values()) {
      if (batch.queueId === queueId) this.#drop(batch, out);
    }
  }

  load(rows: readonly StateRow[]): void {
    const found = rows.map(readDelayed);
    for (const batch of found) this.#keep(batch);
    this.places.load(found);
  }

  #keep(batch: DelayedBatch): void {
    this.#batches.set(batch.id.index, batch);
    this.#due.add(batch);
  }

  #drop(batch: DelayedBatch, out: StateWriter): void {
    this.#batches.delete(batch.id.index);
    this.places.remove(batch);
    this.#due.remove(batch);
    out.put('delayed', rowKey(batch.id), undefined);
  }

  /** Closing a queue drops what is delayed for it, so those that are left have theirs open. */
  #show({ at, queueId, count, bytes }: DelayedBatch, nowMs: ShardTimeMs, out: StateWriter): void {
    const queue = this.#queues.get(queueId)!;
    const shown = { at, count, bytes, storedAtMs: nowMs };
    const baseOffset = this.#queues.append(queue, shown, out);
    this.#references.add(queueId, baseOffset + count - 1, at.index, out);
  }
}

function putDelayed(batch: DelayedBatch, out: StateWriter): void {
  const { id, at, queueId, count, bytes, dueAtMs } = batch;
  const row = new ByteWriter(64).u8(VERSION).uint(id.term).uint(queueId).uint(count);
  row.uint(bytes).uint(dueAtMs).uint(at.term).uint(at.index);
  out.put('delayed', rowKey(id), row.finish());
}

function rowKey(id: BatchId): Uint8Array {
  return new ByteWriter(8).u64be(id.index).finish();
}

function readDelayed({ key, value }: StateRow): DelayedBatch {
  const index = new ByteReader(key).u64be();
  const from = readVersioned(value, VERSION);
  const id = { term: from.uint(), index };
  const batch: DelayedBatch = {
    id,
    queueId: from.uint(),
    count: from.uint(),
    bytes: from.uint(),
    dueAtMs: from.uint(),
    at: { term: from.uint(), index: from.uint() },
    heapPosition: -1,
  };
  from.expectEnd();
  return batch;
}
