/**
 * The state machine under Raft: hands committed entries to the shard's replicated state, their
 * effects to the state store, and tells who waits that something changed.
 */
import { strict as assert } from 'node:assert';
import type { StateMachine } from '../../raft/ports.ts';
import {
  type Entry,
  type EntryId,
  EntryType,
  type LogIndex,
  type ShardId,
} from '../../raft/types.ts';
import type { TableRow } from '../../storage/level-db.ts';
import type { AppliedMark } from '../../storage/row-codec.ts';
import type { DataShard } from '../broker/api.ts';
import { createDataShard } from '../broker/data-shard.ts';
import type { StateWriter } from '../broker/state-port.ts';
import type { MetaState } from '../cluster/meta-state.ts';
import type { StateFlush } from './state-flush.ts';
import { stateRows } from './tables.ts';
import { TouchedQueues } from './touched-queues.ts';
import type { QueueWaiters } from './waiters.ts';

/** The metadata shard. */
export const META_SHARD = 0;

interface HeldShard {
  data: DataShard | undefined;
  readonly writer: TouchedQueues;
  /** Of the last applied entry. */
  timeMs: number;
  /** Body bytes applied since the last checkpoint. */
  logBytes: number;
  /** Entries up to here are needed by nothing, as far as was agreed since this node started. */
  logTrim: LogIndex;
}

interface Prepared {
  readonly mark: AppliedMark;
  readonly tables: readonly TableRow[];
  readonly data: DataShard | undefined;
}

/** An empty one, as it was when the cluster was born. */
export type NewDataShard = (shard: ShardId) => DataShard;

export class ShardMachine implements StateMachine {
  readonly #meta: MetaState;
  readonly #flush: StateFlush;
  readonly #waiters: QueueWaiters;
  readonly #onApplied: (shard: ShardId) => void;
  readonly #newData: NewDataShard;
  readonly #held = new Map<ShardId, HeldShard>();
  readonly #prepared = new Map<ShardId, Prepared>();

  constructor(
    meta: MetaState,
    flush: StateFlush,
    waiters: QueueWaiters,
    onApplied: (shard: ShardId) => void,
    newData: NewDataShard = createDataShard,
  ) {
    this.#newData = newData;
    this.#meta = meta;
    this.#flush = flush;
    this.#waiters = waiters;
    this.#onApplied = onApplied;
  }

  /** `data` undefined = the metadata shard. `timeMs` = shard time of the last applied entry. */
  hold(shard: ShardId, data: DataShard | undefined, timeMs: number): void {
    const writer: StateWriter = this.#flush.writerFor(shard);
    this.#held.set(shard, {
      data,
      writer: new TouchedQueues(writer),
      timeMs,
      logBytes: 0,
      logTrim: 0,
    });
  }

  apply(shard: ShardId, entry: Entry): unknown {
    const held = this.#get(shard);
    held.timeMs = entry.timeMs;
    held.logBytes += entry.head.length + entry.payload.length;
    if (entry.type !== EntryType.command) return undefined;
    const result = (held.data ?? this.#meta).apply(entry, held.writer);
    if (result.type === 'trimmed') {
      // A decision of an earlier reign may come late.
      held.logTrim = Math.max(held.logTrim, result.logTrim);
    }
    return result;
  }

  applied(shard: ShardId, through: EntryId): void {
    const held = this.#get(shard);
    const { index, term } = through;
    this.#flush.markApplied(shard, { index, term, timeMs: held.timeMs });
    held.writer.drain((queueId) => this.#waiters.wakeQueue(queueId, 'data'));
    this.#onApplied(shard);
  }

  /** LevelDB is too far behind: no more effects for now. */
  hasRoom(): boolean {
    return this.#flush.hasRoom;
  }

  /**
   * A checkpoint that was received: read into a state of its own now, so that `restore` only swaps.
   * The next one of the shard takes its place.
   */
  prepare(mark: AppliedMark, tables: readonly TableRow[]): void {
    const { shard } = mark;
    const data = shard === META_SHARD ? undefined : this.#newData(shard);
    data?.load(stateRows(tables));
    this.#prepared.set(shard, { mark, tables, data });
  }

  /** In one turn: whoever looks sees the old state or the new one, never half of either. */
  restore(shard: ShardId, id: EntryId): void {
    const prepared = this.#prepared.get(shard);
    assert(prepared?.mark.index === id.index && prepared.mark.term === id.term, 'was prepared');
    this.#prepared.delete(shard);
    const { mark, tables, data } = prepared;
    const held = this.#get(shard);
    if (shard === META_SHARD) this.#meta.load(stateRows(tables));
    held.data = data;
    held.timeMs = mark.timeMs;
    held.logBytes = 0;
    held.logTrim = Math.max(held.logTrim, mark.index);
    held.writer.drain(() => undefined);
    this.#flush.restore(mark, tables);
    // A replica that takes a snapshot leads nothing; who still waits here is told to go elsewhere.
    this.#waiters.wakeShard(shard, 'deposed');
    this.#onApplied(shard);
  }

  /** The shard is leaving this node. */
  release(shard: ShardId): void {
    this.#held.delete(shard);
    this.#prepared.delete(shard);
    this.#flush.release(shard);
    this.#waiters.wakeShard(shard, 'deposed');
  }

  holds(shard: ShardId): boolean {
    return this.#held.has(shard);
  }

  data(shard: ShardId): DataShard {
    const { data } = this.#get(shard);
    if (data === undefined) throw new TypeError(`shard ${shard} holds no queues`);
    return data;
  }

  timeMs(shard: ShardId): number {
    return this.#get(shard).timeMs;
  }

  logTrim(shard: ShardId): LogIndex {
    return this.#get(shard).logTrim;
  }

  logBytes(shard: ShardId): number {
    return this.#get(shard).logBytes;
  }

  resetLogBytes(shard: ShardId): void {
    this.#get(shard).logBytes = 0;
  }

  #get(shard: ShardId): HeldShard {
    const held = this.#held.get(shard);
    if (held === undefined) throw new TypeError(`shard ${shard} is not held by this node`);
    return held;
  }
}
