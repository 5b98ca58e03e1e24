/**
 * The state machine under Raft: hands committed entries to the shard's replicated state, their
 * effects to the state store, and tells who waits that something changed.
 */
import type { StateMachine } from '../../raft/ports.ts';
import {
  type Entry,
  type EntryId,
  EntryType,
  type LogIndex,
  type ShardId,
} from '../../raft/types.ts';
import type { DataShard } from '../broker/api.ts';
import type { StateWriter } from '../broker/state-port.ts';
import type { MetaState } from '../cluster/meta-state.ts';
import type { StateFlush } from './state-flush.ts';
import { TouchedQueues } from './touched-queues.ts';
import type { QueueWaiters } from './waiters.ts';

/** The metadata shard. */
export const META_SHARD = 0;

interface HeldShard {
  readonly data: DataShard | undefined;
  readonly writer: TouchedQueues;
  /** Of the last applied entry. */
  timeMs: number;
  /** Body bytes applied since the last checkpoint. */
  logBytes: number;
  /** Entries up to here are needed by nothing, as far as was agreed since this node started. */
  logTrim: LogIndex;
}

export class ShardMachine implements StateMachine {
  readonly #meta: MetaState;
  readonly #flush: StateFlush;
  readonly #waiters: QueueWaiters;
  readonly #onApplied: (shard: ShardId) => void;
  readonly #held = new Map<ShardId, HeldShard>();

  constructor(
    meta: MetaState,
    flush: StateFlush,
    waiters: QueueWaiters,
    onApplied: (shard: ShardId) => void,
  ) {
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
    if (result.type === 'trimmed') held.logTrim = result.logTrim;
    return result;
  }

  applied(shard: ShardId, through: EntryId): void {
    const held = this.#get(shard);
    this.#flush.markApplied(shard, { ...through, timeMs: held.timeMs });
    held.writer.drain((queueId) => this.#waiters.wakeQueue(queueId, 'data'));
    this.#onApplied(shard);
  }

  /** LevelDB is too far behind: no more effects for now. */
  hasRoom(): boolean {
    return this.#flush.hasRoom;
  }

  restore(shard: ShardId, id: EntryId): void {
    throw new TypeError(`shard ${shard} cannot be restored at ${id.index} yet`);
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
