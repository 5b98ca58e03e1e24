/**
 * Fetch on the leader: range checks, waiting at the end of the queue, reading (internals rule 12:
 * nothing is said about content unless this node leads and has applied an entry of its term).
 */
import type { ReadOutcome } from '../../raft/driver.ts';
import type { NodeId, ShardId, ShardTimeMs } from '../../raft/types.ts';
import type { CompactedKeysView, QueueView } from '../broker/api.ts';
import type { QueueId } from '../broker/commands.ts';
import type { Cancellable, FetchArguments, FetchOutcome } from './api.ts';
import {
  bytesToLookAt,
  choiceOf,
  matchingMessages,
  messagesToLookAt,
} from './matching-messages.ts';
import type { QueueReader, Reading } from './queue-reader.ts';
import { VisibleMessages } from './visible-messages.ts';
import type { QueueWaiters, Waiter } from './waiters.ts';

export interface FetchSource {
  isReady(shard: ShardId): boolean;
  leaderOf(shard: ShardId): NodeId | undefined;
  queue(shard: ShardId, queueId: QueueId): QueueView | undefined;
  /** undefined = the shard is not here. */
  compactedKeys(shard: ShardId): CompactedKeysView | undefined;
  shardTimeMs(shard: ShardId): ShardTimeMs;
  readIndex(shard: ShardId, done: (outcome: ReadOutcome) => void): void;
}

export class Fetcher {
  readonly #source: FetchSource;
  readonly #reader: QueueReader;
  readonly #waiters: QueueWaiters;

  constructor(source: FetchSource, reader: QueueReader, waiters: QueueWaiters) {
    this.#source = source;
    this.#reader = reader;
    this.#waiters = waiters;
  }

  fetch(args: FetchArguments, done: (outcome: FetchOutcome) => void): Cancellable {
    const call = new FetchCall(args, this.#source, this.#reader, this.#waiters, done);
    call.start();
    return call;
  }
}

class FetchCall implements Cancellable {
  readonly #args: FetchArguments;
  readonly #source: FetchSource;
  readonly #reader: QueueReader;
  readonly #waiters: QueueWaiters;
  #done: ((outcome: FetchOutcome) => void) | undefined;
  #waiter: Waiter | undefined;
  #reading: Reading | undefined;
  /** A quorum round already confirmed that this node leads. */
  #confirmed = false;
  #waited = false;
  /** Where to read: past what was left out while this call waits, or is hidden for good. */
  #offset: number;
  #waitsUntilMs: number | undefined;

  constructor(
    args: FetchArguments,
    source: FetchSource,
    reader: QueueReader,
    waiters: QueueWaiters,
    done: (outcome: FetchOutcome) => void,
  ) {
    this.#args = args;
    this.#offset = args.offset;
    this.#source = source;
    this.#reader = reader;
    this.#waiters = waiters;
    this.#done = done;
  }

  start(): void {
    if (this.#args.linearizable) this.#confirm();
    else this.#look();
  }

  cancel(): void {
    this.#waiter?.leave('cancelled');
    this.#reading?.cancel();
    this.#finish({ status: 'cancelled' });
  }

  #finish(outcome: FetchOutcome): void {
    const done = this.#done;
    this.#done = undefined;
    done?.(outcome);
  }

  #notLeader(): void {
    this.#finish({ status: 'notLeader', leader: this.#source.leaderOf(this.#args.shard) });
  }

  #confirm(): void {
    this.#source.readIndex(this.#args.shard, (outcome) => {
      if (outcome.status !== 'ok') {
        this.#notLeader();
        return;
      }
      this.#confirmed = true;
      this.#look();
    });
  }

  #look(): void {
    const { shard, queueId } = this.#args;
    if (this.#done === undefined) return;
    if (!this.#source.isReady(shard)) {
      this.#notLeader();
      return;
    }
    const queue = this.#source.queue(shard, queueId);
    if (queue === undefined || !queue.open) {
      this.#finish({ status: 'queueNotOpen' });
      return;
    }
    // Of a compacted queue only what is hidden lies below the start.
    if (queue.compaction !== undefined) this.#offset = Math.max(this.#offset, queue.startOffset);
    const offset = this.#offset;
    if (offset < queue.startOffset) this.#outOfRange(queue);
    else if (offset < queue.endOffset) this.#read(queue);
    else if (offset === queue.endOffset) this.#waitOrAnswer(queue);
    // A deposed leader may simply not know yet: only a confirmed one may say "past the end".
    else if (this.#confirmed) this.#outOfRange(queue);
    else this.#confirm();
  }

  #outOfRange(queue: QueueView): void {
    const { startOffset, endOffset } = queue;
    this.#finish({ status: 'outOfRange', startOffset, endOffset });
  }

  #empty(queue: QueueView): void {
    const { startOffset, endOffset } = queue;
    const nextOffset = this.#offset;
    this.#finish({ status: 'ok', batches: [], nextOffset, startOffset, endOffset });
  }

  #waitOrAnswer(queue: QueueView): void {
    const { shard, queueId } = this.#args;
    const waitMs = this.#leftMs();
    if (this.#waited || waitMs <= 0 || this.#waiters.full) {
      this.#empty(queue);
      return;
    }
    this.#waiter = this.#waiters.wait(shard, queueId, waitMs, (reason) => {
      this.#waiter = undefined;
      this.#waited = reason === 'timeout';
      if (reason !== 'cancelled') this.#look();
    });
  }

  /** However often what comes is not wanted, it waits no longer than was asked for. */
  #leftMs(): number {
    const { waitMs } = this.#args;
    if (waitMs <= 0) return 0;
    this.#waitsUntilMs ??= performance.now() + waitMs;
    return this.#waitsUntilMs - performance.now();
  }

  #read(queue: QueueView): void {
    const { shard, queueId, filter, maxMessages } = this.#args;
    const offset = this.#offset;
    const visible = this.#visibleOf(queue);
    const choice = choiceOf(filter, visible);
    const limits = {
      maxBytes: bytesToLookAt(this.#args.maxBytes, choice),
      maxMessages: messagesToLookAt(maxMessages, choice),
    };
    const request = { shard, queueId, offset, visible, ...limits };
    const reading = this.#reader.reading(request, (error, read) => {
      if (error !== undefined) {
        this.#readFailed(error);
        return;
      }
      // A snapshot took the place of the state that knew the keys.
      if (visible !== undefined && visible.keys !== this.#source.compactedKeys(shard)) {
        this.#notLeader();
        return;
      }
      // The queue may have moved on while the disk was read: the ends are told as they are now.
      const { startOffset, endOffset } = this.#source.queue(shard, queueId) ?? queue;
      const { batches, nextOffset } = matchingMessages(read, choice, maxMessages);
      if (batches.length === 0 && offset < nextOffset && nextOffset === endOffset) {
        // Nothing of it is wanted: as if the queue had ended where this call began.
        this.#offset = nextOffset;
        this.#look();
      } else this.#finish({ status: 'ok', batches, nextOffset, startOffset, endOffset });
    });
    // Before it starts: it may be answered at once, and another one follow it.
    this.#reading = reading;
    reading.start();
  }

  /** undefined = all that the queue holds. */
  #visibleOf({ compaction }: QueueView): VisibleMessages | undefined {
    const { shard } = this.#args;
    const keys = compaction && this.#source.compactedKeys(shard);
    return keys && new VisibleMessages(compaction, keys, this.#source.shardTimeMs(shard));
  }

  #readFailed(error: Error): void {
    const { shard, queueId } = this.#args;
    const queue = this.#source.queue(shard, queueId);
    // A snapshot took the place of what was read: this node had stopped leading before.
    if (!this.#source.isReady(shard)) this.#notLeader();
    // Trimmed away while we were reading: the range check gives the true answer.
    else if (queue === undefined || this.#offset < queue.startOffset) this.#look();
    else this.#finish({ status: 'damaged', message: error.message });
  }
}
