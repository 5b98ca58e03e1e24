/**
 * Messages whose first entry is gone because they were appended again: in a queue that this was
 * done in, its order tells where to look. What was shown late stands in no such order, and may not
 * be found.
 */
import type { ShardId } from '../../../raft/types.ts';
import type { QueueId } from '../../broker/commands.ts';
import type { FetchedBatch, ShardHost } from '../../shards/api.ts';
import type { TraceQuestion } from './message.ts';

export interface FoundByFirstWrite {
  readonly queueId: QueueId;
  readonly offset: number;
  readonly atMs: number;
}

/** Of one question: a queue of any length needs some forty. */
const MAX_FETCHES = 1024;
/** Looked at for one message; the first fits whatever its size. */
const FETCH_BYTES = 64 * 1024;

type Done = (found: FoundByFirstWrite | undefined) => void;

export function findByFirstWrite(
  host: ShardHost,
  shard: ShardId,
  question: TraceQuestion,
  done: Done,
): void {
  const queueIds = new Set<QueueId>();
  for (const { isCounted, queueId } of host.data(shard).lateBuckets()) {
    if (isCounted) queueIds.add(queueId);
  }
  new Search({ host, shard, question, done }, [...queueIds]).next();
}

interface Range {
  readonly queueId: QueueId;
  readonly low: number;
  readonly middle: number;
  readonly high: number;
}

interface Asked {
  readonly host: ShardHost;
  readonly shard: ShardId;
  readonly question: TraceQuestion;
  readonly done: Done;
}

class Search {
  readonly #asked: Asked;
  readonly #queueIds: QueueId[];
  #fetches = 0;

  constructor(asked: Asked, queueIds: QueueId[]) {
    this.#asked = asked;
    this.#queueIds = queueIds;
  }

  next(): void {
    const { done, host, shard } = this.#asked;
    const queueId = this.#fetches < MAX_FETCHES ? this.#queueIds.pop() : undefined;
    if (queueId === undefined) done(undefined);
    else {
      const { endOffset = 0, startOffset = 0 } = host.data(shard).queue(queueId) ?? {};
      this.#narrow(queueId, startOffset, endOffset);
    }
  }

  /** It stands from `low` on, and before `high`, if at all. */
  #narrow(queueId: QueueId, low: number, high: number): void {
    if (low >= high) this.next();
    else {
      const middle = low + Math.floor((high - low) / 2);
      this.#look({ queueId, low, middle, high }, middle);
    }
  }

  /** Nothing is shown from the middle to `offset`: a compacted queue hides what it still counts. */
  #look(range: Range, offset: number): void {
    const { host, shard } = this.#asked;
    if (this.#fetches === MAX_FETCHES) {
      this.next();
      return;
    }
    this.#fetches += 1;
    const { high, low, middle, queueId } = range;
    const what = { shard, queueId, offset, maxBytes: FETCH_BYTES, maxMessages: 1 };
    host.fetch({ ...what, waitMs: 0, linearizable: false }, (outcome) => {
      const { batches = [], nextOffset = offset } = outcome.status === 'ok' ? outcome : {};
      const [batch] = batches;
      if (nextOffset === offset) this.next();
      else if (batch !== undefined) this.#judge(range, batch);
      else if (nextOffset < high) this.#look(range, nextOffset);
      else this.#narrow(queueId, low, middle);
    });
  }

  /** By the first message that is shown from the middle on. */
  #judge({ high, low, middle, queueId }: Range, batch: FetchedBatch): void {
    const { done, question } = this.#asked;
    const { baseOffset: offset, firstIndex, firstPosition, row } = batch;
    const after = firstIndex - question.index || firstPosition - question.position;
    if (after === 0) done({ queueId, offset, atMs: row.storedAtMs });
    else if (after < 0) this.#narrow(queueId, offset + 1, high);
    else this.#narrow(queueId, low, middle);
  }
}
