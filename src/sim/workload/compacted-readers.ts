/**
 * Readers of compacted queues, not only where leaders are: by production's reader and its rule of
 * what is hidden. What they find is compared with what the logs say.
 */
import type { ShardId } from '../../../raft/types.ts';
import type { QueueView } from '../../broker/api.ts';
import type { FetchedBatch } from '../../shards/api.ts';
import {
  choiceOf,
  matchingMessages,
  messagesToLookAt,
  type ReadBatches,
} from '../../shards/matching-messages.ts';
import { fieldEnd } from '../../shards/message-slice.ts';
import { QueueReader } from '../../shards/queue-reader.ts';
import { VisibleMessages } from '../../shards/visible-messages.ts';
import { expect } from '../failure.ts';
import type { ReadAt, ReadMessage } from '../invariants/compacted-latest.ts';
import type { SimNode } from '../node.ts';
import { compactedQueueOf } from './compacted-queues.ts';
import { isStateOf, untaggedReads } from './node-reads.ts';
import type { Session } from './session.ts';

const BUDGETS = [1, 60, 100_000];
/** 0 = no matter how many. */
const COUNTS = [0, 0, 1, 3];

/** One reader on its way through a queue. */
interface Reading {
  readonly shard: ShardId;
  readonly node: SimNode;
  readonly queue: QueueView;
  readonly startOffset: number;
  readonly began: ReadAt;
  readonly visible: VisibleMessages;
  readonly maxBytes: number;
  readonly maxMessages: number;
  readonly found: ReadMessage[];
  readonly isCurrent: () => boolean;
}

export class CompactedReaders {
  readonly #session: Session;
  /** On their way to the end of a run. */
  #open = 0;

  constructor(session: Session) {
    this.#session = session;
  }

  get isSettled(): boolean {
    return this.#open === 0;
  }

  read(shard: ShardId): void {
    const nodes = this.#upToDate(shard);
    if (nodes.length > 0) this.#begin(shard, this.#session.random.pick(nodes), () => {});
  }

  /** On every node that can: nobody stops them any more. */
  readAll(shards: readonly ShardId[]): void {
    for (const shard of shards) {
      for (const node of this.#upToDate(shard)) {
        this.#open++;
        this.#begin(shard, node, () => this.#open--);
      }
    }
  }

  /**
   * Those that are not behind: whoever began with a snapshot finds rows only once it has come to
   * where the log was cut for that.
   */
  #upToDate(shard: ShardId): readonly SimNode[] {
    const { committed, nodes, swarm } = this.#session.cluster;
    // Elsewhere logs are cut whatever lives in them.
    if (swarm.retention) return [];
    const last = committed.of(shard).length;
    return nodes.filter(({ driver, isPaused, machine }) => {
      if (driver?.holds(shard) !== true || isPaused) return false;
      return driver.isReady(shard) || machine.appliedIndex(shard) === last;
    });
  }

  #begin(shard: ShardId, node: SimNode, done: () => void): void {
    const data = node.machine.data(shard);
    const queue = data.queue(compactedQueueOf(shard));
    if (queue?.compaction === undefined) {
      done();
      return;
    }
    const { compaction, endOffset, startOffset } = queue;
    const nowMs = node.machine.life.machine.timeMs(shard);
    const reading: Reading = {
      ...{ shard, node, queue, startOffset, began: { endOffset, nowMs } },
      visible: new VisibleMessages(compaction, data.compactedKeys, nowMs),
      maxBytes: this.#session.random.pick(BUDGETS),
      maxMessages: this.#session.random.pick(COUNTS),
      found: [],
      isCurrent: () => isStateOf(node, shard, data),
    };
    this.#goOn(reading, startOffset, done);
  }

  #goOn(reading: Reading, offset: number, done: () => void): void {
    const { began, maxBytes, node, queue, shard, visible } = reading;
    const maxMessages = messagesToLookAt(reading.maxMessages, choiceOf(undefined, visible));
    if (offset >= began.endOffset) {
      this.#compare(reading);
      done();
      return;
    }
    const { tail, store } = untaggedReads(node);
    const reader = new QueueReader(node.machine.life.flush, tail, store);
    const limits = { maxBytes, maxMessages, visible };
    const request = { shard, queueId: queue.queueId, offset, ...limits };
    const step = reader.reading(request, (error, read) => {
      try {
        if (!reading.isCurrent()) done();
        else if (error !== undefined) this.#failed(reading, offset, error, done);
        else {
          const nextOffset = taken(reading, offset, read);
          if (nextOffset === offset) done();
          else this.#goOn(reading, nextOffset, done);
        }
      } catch (failure) {
        // Whoever reads rows has promises, and would take it for theirs.
        this.#session.cluster.scheduler.fail(failure as Error);
      }
    });
    step.start();
  }

  #compare({ began, found, queue, startOffset }: Reading): void {
    const { coverage, ledger } = this.#session.cluster.judge;
    const read = found.filter(({ offset }) => offset < began.endOffset);
    const from = Math.max(startOffset, queue.startOffset);
    ledger.compacted.expectRead(queue.queueId, from, began, read);
    if (read.length < began.endOffset - startOffset) coverage.reach('hidden messages passed over');
  }

  /** What was deleted meanwhile is no loss; a read that failed once says nothing. */
  #failed({ node, queue }: Reading, offset: number, error: Error, done: () => void): void {
    const isGone = offset < queue.startOffset;
    const isBadDisk = node.disk.flips.isAny || error.message.includes('EIO');
    expect(isGone || isBadDisk, 'compacted-read', () => `${queue.queueId}/${offset}: ${error}`);
    done();
  }
}

/** Returns where to go on: there, if it is deleted. */
function taken(reading: Reading, offset: number, read: ReadBatches): number {
  const { found, maxMessages, queue, visible } = reading;
  const choice = choiceOf(undefined, visible);
  const { batches, nextOffset } = matchingMessages(read, choice, maxMessages);
  for (const batch of batches) found.push(...messagesOf(batch));
  const what = () => `queue ${queue.queueId} from ${offset} on: ${nextOffset}`;
  expect(nextOffset > offset || offset < queue.startOffset, 'compacted-read', what);
  return nextOffset;
}

function messagesOf(batch: FetchedBatch): readonly ReadMessage[] {
  const { baseOffset, firstIndex, firstPosition, messages, row } = batch;
  const found: ReadMessage[] = [];
  for (let at = 0, start = 0; at < batch.count; at++) {
    const end = fieldEnd(messages, start);
    const bytes = Buffer.from(messages.subarray(start, end)).toString('latin1');
    const names = { firstIndex, firstPosition: firstPosition + at };
    found.push({ offset: baseOffset + at, storedAtMs: row.storedAtMs, ...names, bytes });
    start = end;
  }
  return found;
}
