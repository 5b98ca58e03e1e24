/**
 * The follower's side of a snapshot: takes chunks in order, one at a time, from whoever leads, or,
 * for the sake of a damaged entry, from whoever was asked; an attempt that another one began goes
 * on where it was. The last chunk is followed by the check
 * of the whole, the swap, and, once the log's new beginning is durable, the word that it is done.
 */
import type { DriverContext } from './driver-context.ts';
import type { ShardRunner } from './driver-shard.ts';
import type { SnapshotChunk } from './messages.ts';
import type { SnapshotStore } from './ports.ts';
import type { EntryId, MonotonicMs, ReplicaId } from './types.ts';

interface Receiving {
  readonly runner: ShardRunner;
  readonly id: EntryId;
  readonly totalBytes: number;
  /** Who sent the last chunk. */
  from: ReplicaId;
  /** The last sign of progress. */
  movedMs: MonotonicMs;
  /** The store has everything before this. */
  nextOffset: number;
  /** Chunks behind it, in order, that wait for the store: at most a window. */
  readonly waiting: Uint8Array[];
  waitingBytes: number;
  /** The store works on it. */
  isBusy: boolean;
  /** The whole is in force; done when the log is durable through `id`. */
  isRestored: boolean;
}

export class SnapshotReceiver {
  readonly #context: DriverContext;
  readonly #store: SnapshotStore;
  readonly #receivings = new Map<ShardRunner, Receiving>();

  constructor(context: DriverContext, store: SnapshotStore) {
    this.#context = context;
    this.#store = store;
  }

  received(runner: ShardRunner, chunk: SnapshotChunk): void {
    const { core } = runner;
    if (core.isSuspect || core.term !== chunk.term) return;
    const { id, from, totalBytes } = chunk;
    const receiving = this.#receivings.get(runner);
    if (!core.lacks(id.index)) {
      if (receiving?.isRestored !== true) this.#answer(runner, from, id, totalBytes, true);
      return;
    }
    // Its heartbeats are what makes a leader known; chunks prove nothing.
    if (core.leader !== from && !core.isDamagedUpTo(id.index)) return;
    if (receiving !== undefined && isOf(receiving, chunk)) {
      receiving.from = from;
      this.#take(receiving, chunk);
    } else if (this.#givesWay(receiving, from)) this.#begin(runner, chunk);
  }

  /** To the leader at once; to anybody else only when it stands still. */
  #givesWay(receiving: Receiving | undefined, to: ReplicaId): boolean {
    if (receiving === undefined) return true;
    if (receiving.isBusy) return false;
    const { config } = this.#context.options;
    const silentMs = this.#context.now().nowMs - receiving.movedMs;
    return to === receiving.runner.core.leader || silentMs >= config.electionTimeoutMs;
  }

  #begin(runner: ShardRunner, { id, totalBytes, from }: SnapshotChunk): void {
    const receiving: Receiving = {
      ...{ runner, id, totalBytes, nextOffset: 0, waiting: [], waitingBytes: 0 },
      ...{ from, movedMs: this.#context.now().nowMs },
      isBusy: true,
      isRestored: false,
    };
    this.#receivings.set(runner, receiving);
    this.#store.beginReceive(runner.shard, id, totalBytes, (error, nextOffset = 0) => {
      if (error === undefined) this.#stored(receiving, nextOffset);
      else this.#forget(receiving);
    });
  }

  #take(receiving: Receiving, { offset, data }: SnapshotChunk): void {
    const { maxInflightSnapshotChunks } = this.#context.options.config;
    const expected = receiving.nextOffset + receiving.waitingBytes;
    const hasRoom = receiving.waiting.length < maxInflightSnapshotChunks;
    if (data.length > 0 && offset === expected && hasRoom) {
      receiving.waiting.push(data);
      receiving.waitingBytes += data.length;
      this.#storeNext(receiving);
    } else if (!receiving.isBusy) this.#say(receiving, false);
  }

  #storeNext(receiving: Receiving): void {
    const { runner, id, nextOffset, waiting, isBusy } = receiving;
    const data = waiting[0];
    if (isBusy || data === undefined) return;
    receiving.isBusy = true;
    this.#store.receiveChunk(runner.shard, id, nextOffset, data, (error, next) => {
      waiting.shift();
      receiving.waitingBytes -= data.length;
      if (error !== undefined || next === undefined) this.#forget(receiving);
      else this.#stored(receiving, next);
    });
  }

  #stored(receiving: Receiving, nextOffset: number): void {
    receiving.isBusy = false;
    receiving.nextOffset = nextOffset;
    receiving.movedMs = this.#context.now().nowMs;
    if (!this.#isWanted(receiving)) return;
    this.#say(receiving, false);
    if (nextOffset === receiving.totalBytes) this.#finish(receiving);
    else this.#storeNext(receiving);
  }

  /** The shard may have left, or caught up by itself, while the store worked. */
  #isWanted(receiving: Receiving): boolean {
    const { runner, id } = receiving;
    const isWanted =
      !runner.isStopped &&
      this.#receivings.get(runner) === receiving &&
      runner.core.lacks(id.index);
    if (!isWanted) this.#forget(receiving);
    return isWanted;
  }

  #finish(receiving: Receiving): void {
    const { runner, id } = receiving;
    receiving.isBusy = true;
    this.#store.finishReceive(runner.shard, id, (error, restored) => {
      receiving.isBusy = false;
      if (!this.#isWanted(receiving)) return;
      if (error !== undefined || restored === undefined) {
        // It did not verify: from the beginning.
        this.#forget(receiving);
        this.#answer(runner, receiving.from, id, 0, false);
      } else if (runner.restore(restored)) {
        receiving.isRestored = true;
        this.durable(runner);
      } else this.#forget(receiving);
    });
  }

  /** This node's own log of the shard is durable a little further. */
  durable(runner: ShardRunner): void {
    const receiving = this.#receivings.get(runner);
    if (receiving?.isRestored !== true || runner.core.log.durable < receiving.id.index) return;
    this.#say(receiving, true);
    this.#forget(receiving);
  }

  #say({ runner, from, id, nextOffset }: Receiving, done: boolean): void {
    this.#answer(runner, from, id, nextOffset, done);
  }

  #answer(
    runner: ShardRunner,
    to: ReplicaId,
    id: EntryId,
    nextOffset: number,
    done: boolean,
  ): void {
    const { core, shard } = runner;
    const node = runner.nodeOf(to);
    if (node === undefined) return;
    const address = { shard, from: core.self, to, term: core.term };
    this.#context.say(node, { type: 'snapshotReply', ...address, id, nextOffset, done });
  }

  #forget(receiving: Receiving): void {
    const { runner } = receiving;
    if (this.#receivings.get(runner) === receiving) this.#receivings.delete(runner);
  }
}

function isOf({ id, totalBytes }: Receiving, chunk: SnapshotChunk): boolean {
  return (
    id.index === chunk.id.index && id.term === chunk.id.term && totalBytes === chunk.totalBytes
  );
}
