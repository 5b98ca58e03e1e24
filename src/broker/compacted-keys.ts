/**
 * Which message is the newest of its key, per compacted queue. A queue shows it for as long as the
 * queue keeps it; of older ones nothing has to be remembered: whatever is not the newest of its key
 * may go once it is old enough to be hidden (`isShown`).
 *
 * A message without a body is the newest of its key, too, until its time is over. The key is
 * forgotten then, and messages of a key that is not known here are hidden: what it deleted does not
 * come back, whether it still lies in the log or not.
 */
import assert from 'node:assert';
import type { ShardTimeMs } from '../../raft/types.ts';
import type { CompactedKeysView, LatestOfKey } from './api.ts';
import { ByteReader, ByteWriter, readVersioned } from './bytes.ts';
import type { MessageKey, QueueCompaction, QueueId } from './commands.ts';
import { bucketOf } from './late-references.ts';
import { type DataShardLimits, MAX_FORGOTTEN_PER_ENTRY } from './limits.ts';
import type { QueueState, Queues } from './queues.ts';
import type { StateRow, StateWriter } from './state-port.ts';

interface Latest extends LatestOfKey {
  /** Of the batch that holds it: which bucket it counts in. */
  readonly lastOffset: number;
}

/** Both maps by offset, ascending: what is set again goes to the end. */
interface QueueKeys {
  readonly latest: Map<string, Latest>;
  /** Of those, the ones without a body. */
  readonly tombstones: Map<string, Latest>;
  readonly liveIn: Map<number, number>;
}

const VERSION = 1;
/** Of one queue, by one entry that finds its shard full or its start raised. */
const MAX_SWEPT_PER_QUEUE = 10_000;

export class CompactedKeys implements CompactedKeysView {
  readonly #queues = new Map<QueueId, QueueKeys>();
  readonly #all: Pick<Queues, 'get'>;
  readonly #limits: Pick<DataShardLimits, 'maxCompactedKeys'>;
  #count = 0;

  constructor(queues: Pick<Queues, 'get'>, limits: Pick<DataShardLimits, 'maxCompactedKeys'>) {
    this.#all = queues;
    this.#limits = limits;
  }

  get count(): number {
    return this.#count;
  }

  latest(queueId: QueueId, key: string): LatestOfKey | undefined {
    return this.#queues.get(queueId)?.latest.get(key);
  }

  liveIn(queueId: QueueId, bucket: number): number {
    return this.#queues.get(queueId)?.liveIn.get(bucket) ?? 0;
  }

  firstLive(queueId: QueueId): number | undefined {
    return first(this.#queues.get(queueId)?.latest.values() ?? [])?.offset;
  }

  mayForget(nowMs: ShardTimeMs): boolean {
    for (const queueId of this.#queues.keys()) if (this.mayForgetOf(queueId, nowMs)) return true;
    return false;
  }

  mayForgetOf(queueId: QueueId, nowMs: ShardTimeMs): boolean {
    const keys = this.#queues.get(queueId);
    return keys !== undefined && first(this.#gone(queueId, keys, nowMs)) !== undefined;
  }

  /** A batch of the queue is shown from `baseOffset` on. */
  accept(
    { queueId, compaction }: QueueState,
    keys: readonly MessageKey[],
    baseOffset: number,
    nowMs: ShardTimeMs,
    out: StateWriter,
  ): void {
    assert(compaction !== undefined, `queue ${queueId} is not compacted`);
    this.#forget(queueId, nowMs, keys.length + MAX_FORGOTTEN_PER_ENTRY, out);
    const lastOffset = baseOffset + keys.length - 1;
    for (const [position, { isTombstone, key }] of keys.entries()) {
      const goneAtMs = isTombstone ? nowMs + compaction.tombstoneMs : undefined;
      const latest = { offset: baseOffset + position, goneAtMs, lastOffset };
      this.#put(queueId, key, latest);
      out.put('compacted-key', rowKey(queueId, key), encode(latest));
    }
    // Who asks for room may get it from queues that nobody writes to any more.
    if (this.#count >= this.#limits.maxCompactedKeys) this.#sweep(nowMs, out);
  }

  /** The queue's start was raised, or some of its keys are gone. */
  trim(queueId: QueueId, nowMs: ShardTimeMs, out: StateWriter): void {
    this.#forget(queueId, nowMs, MAX_SWEPT_PER_QUEUE, out);
  }

  dropQueue(queueId: QueueId, out: StateWriter): void {
    for (const key of this.#queues.get(queueId)?.latest.keys() ?? []) {
      this.#drop(queueId, key, out);
    }
  }

  load(rows: readonly StateRow[]): void {
    const found = rows.map(read);
    for (const { key, latest, queueId } of found.sort(
      (a, b) => a.latest.offset - b.latest.offset,
    )) {
      this.#put(queueId, key, latest);
    }
  }

  /** In every queue by itself, so that the order of queues decides nothing. */
  #sweep(nowMs: ShardTimeMs, out: StateWriter): void {
    for (const queueId of [...this.#queues.keys()]) {
      this.#forget(queueId, nowMs, MAX_SWEPT_PER_QUEUE, out);
    }
  }

  #forget(queueId: QueueId, nowMs: ShardTimeMs, limit: number, out: StateWriter): void {
    const keys = this.#queues.get(queueId);
    if (keys === undefined) return;
    let forgotten = 0;
    for (const key of this.#gone(queueId, keys, nowMs)) {
      if (forgotten++ === limit) return;
      this.#drop(queueId, key, out);
    }
  }

  /** Oldest first: what lies before the start, then deletions whose time is over. */
  *#gone(queueId: QueueId, keys: QueueKeys, nowMs: ShardTimeMs): Iterable<string> {
    const startOffset = this.#all.get(queueId)?.startOffset ?? 0;
    for (const [key, { offset }] of keys.latest) {
      if (offset >= startOffset) break;
      yield key;
    }
    for (const [key, { goneAtMs = 0 }] of keys.tombstones) {
      if (goneAtMs > nowMs) break;
      yield key;
    }
  }

  #put(queueId: QueueId, key: string, latest: Latest): void {
    let keys = this.#queues.get(queueId);
    if (keys === undefined) {
      keys = { latest: new Map(), tombstones: new Map(), liveIn: new Map() };
      this.#queues.set(queueId, keys);
    }
    this.#remove(keys, key);
    keys.latest.set(key, latest);
    if (latest.goneAtMs !== undefined) keys.tombstones.set(key, latest);
    countLive(keys, latest, 1);
    this.#count += 1;
  }

  #remove(keys: QueueKeys, key: string): void {
    const known = keys.latest.get(key);
    if (known === undefined) return;
    keys.latest.delete(key);
    keys.tombstones.delete(key);
    countLive(keys, known, -1);
    this.#count -= 1;
  }

  #drop(queueId: QueueId, key: string, out: StateWriter): void {
    const keys = this.#queues.get(queueId)!;
    this.#remove(keys, key);
    if (keys.latest.size === 0) this.#queues.delete(queueId);
    out.put('compacted-key', rowKey(queueId, key), undefined);
  }
}

/** Where a message stands, and when it became visible. */
export interface ShownMessage {
  readonly queueId: QueueId;
  readonly key: string;
  readonly offset: number;
  readonly storedAtMs: ShardTimeMs;
}

/** Once it is false it stays so: offsets only rise, and so does time. */
export function isShown(
  { key, offset, queueId, storedAtMs }: ShownMessage,
  { minLagMs }: QueueCompaction,
  keys: Pick<CompactedKeysView, 'latest'>,
  nowMs: ShardTimeMs,
): boolean {
  if (nowMs < storedAtMs + minLagMs) return true;
  const latest = keys.latest(queueId, key);
  return latest?.offset === offset && (latest.goneAtMs ?? Number.POSITIVE_INFINITY) > nowMs;
}

function countLive({ liveIn }: QueueKeys, { lastOffset }: Latest, change: number): void {
  const bucket = bucketOf(lastOffset);
  const live = (liveIn.get(bucket) ?? 0) + change;
  if (live === 0) liveIn.delete(bucket);
  else liveIn.set(bucket, live);
}

function first<Item>(items: Iterable<Item>): Item | undefined {
  for (const item of items) return item;
  return undefined;
}

function rowKey(queueId: QueueId, key: string): Uint8Array {
  return new ByteWriter(64).u32be(queueId).textToEnd(key).finish();
}

/** Row: version, offset, offsets behind it in its batch, 0 or when it is gone. */
function encode({ goneAtMs = 0, lastOffset, offset }: Latest): Uint8Array {
  const row = new ByteWriter(32)
    .u8(VERSION)
    .uint(offset)
    .uint(lastOffset - offset);
  return row.uint(goneAtMs).finish();
}

function read({ key, value }: StateRow) {
  const fromKey = new ByteReader(key);
  const queueId = fromKey.u32be();
  const from = readVersioned(value, VERSION);
  const offset = from.uint();
  const lastOffset = offset + from.uint();
  const goneAtMs = from.uint() || undefined;
  from.expectEnd();
  return { queueId, key: fromKey.textToEnd(), latest: { offset, goneAtMs, lastOffset } };
}
