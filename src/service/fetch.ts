/** Fetch: one queue from an offset, as a long poll (api.md section 4). */

import { CompiledFilters } from '../filter/filter.ts';
import { notLeader } from '../router.ts';
import { DEMANDS } from '../security/permissions.ts';
import type { Cancellable, FetchedBatch, FetchOutcome } from '../shards/api.ts';
import { CallError } from '../status.ts';
import type { Call, Done } from './call.ts';
import type { ExecutorParts } from './executor-parts.ts';
import type { ShardMethod, Target } from './methods.ts';
import { queueNotOpen } from './refusals.ts';
import { FetchHead, readFetchHead } from './request-head.ts';
import { BATCH_OVERHEAD_BYTES, encodeFetchAnswer, type FetchAnswer } from './responses.ts';
import { queueOf } from './topic-directory.ts';

export const FETCH_PATH = '/holdfast.v1.Log/Fetch';

/** How the answer is encoded (Target.variant). */
export const FetchLayout = { response: 0, subscribe: 1 } as const;

/** Room for the three offsets of a response. */
const HEAD_BYTES = 64;

export class FetchCalls {
  readonly method: ShardMethod;
  readonly #parts: ExecutorParts;
  readonly #filters = new CompiledFilters();
  #polls = 0;

  constructor(parts: ExecutorParts) {
    this.#parts = parts;
    this.method = {
      name: FETCH_PATH,
      kind: 'read',
      perform: (call, target, body, parsed, done) => this.#read(call, target, body, parsed, done),
    };
  }

  /** Fetches that this node serves as a leader now. */
  get polls(): number {
    return this.#polls;
  }

  /** A unary Fetch of a client. */
  fetch(call: Call, request: Uint8Array, done: Done): void {
    const head = readFetchHead(request);
    const { maxFetchBytes } = this.#parts.config;
    if (head.maxBytes > maxFetchBytes) {
      throw new CallError(
        'NUMBER_OUT_OF_RANGE',
        `max_bytes is ${head.maxBytes}: at most ${maxFetchBytes} (maxFetchBytes) are allowed`,
      );
    }
    // A bad one is refused here, whoever leads.
    this.#filters.get(head.filter);
    call.demand(DEMANDS.fetchFrom, head.topic);
    this.#parts.topics.find(call, head, (error, topic) => {
      if (error !== undefined) {
        done(error, undefined);
        return;
      }
      const { shard, queueId, queue } = queueOf(topic!, head.queue);
      const target = { shard, queueId, queue, variant: FetchLayout.response };
      const routed = { method: this.method, target, body: request, parsed: head };
      this.#parts.router.route(call, routed, done);
    });
  }

  #read(call: Call, target: Target, body: Uint8Array, parsed: unknown, done: Done): void {
    const head = parsed instanceof FetchHead ? parsed : readFetchHead(body);
    if (this.#polls >= this.#parts.config.maxLongPolls) {
      done(tooManyPolls(this.#polls, this.#parts.config.busyRetryAfterMs), undefined);
      return;
    }
    const filter = this.#filters.get(head.filter);
    const { maxResponseBytes, defaultFetchBytes } = this.#parts.config;
    const asked = head.maxBytes || defaultFetchBytes;
    const limit = Math.max(asked, maxResponseBytes);
    let settled = false;
    this.#polls += 1;
    const poll: Cancellable = this.#parts.host.fetch(
      {
        shard: target.shard,
        queueId: target.queueId,
        offset: head.offset,
        maxBytes: Math.min(asked, limit - HEAD_BYTES - BATCH_OVERHEAD_BYTES),
        maxMessages: head.maxMessages,
        waitMs: this.#waitMs(call, head.maxWaitMs),
        linearizable: head.linearizable,
        filter,
      },
      (outcome) => {
        settled = true;
        this.#polls -= 1;
        call.abort = undefined;
        if (!call.finished) this.#answer(target, head, { outcome, limit }, done);
      },
    );
    if (settled) return;
    call.waitingFor = `messages at offset ${head.offset}`;
    call.abort = () => poll.cancel();
  }

  #answer(
    target: Target,
    head: FetchHead,
    { outcome, limit }: { outcome: FetchOutcome; limit: number },
    done: Done,
  ): void {
    if (outcome.status !== 'ok') {
      done(fetchError(target, head, outcome), undefined);
      return;
    }
    const answer = fitted(outcome, limit);
    let messages = 0;
    let bytes = 0;
    for (const batch of answer.batches) {
      messages += batch.count;
      bytes += batch.messages.length;
    }
    if (messages > 0) this.#parts.meters.fetched(messages, bytes);
    const queue = target.variant === FetchLayout.subscribe ? target.queue : undefined;
    done(undefined, encodeFetchAnswer(answer, target.shard, queue));
  }

  #waitMs(call: Call, askedMs: number): number {
    if (askedMs === 0) return 0;
    const leftMs = Math.floor(call.remainingMs) - this.#parts.config.longPollMarginMs;
    return Math.max(0, Math.min(askedMs, leftMs, this.#parts.config.maxWaitMs));
  }
}

/** As many of the batches as the response may hold; the first always fits. */
export function fitted(answer: FetchAnswer, limit: number): FetchAnswer {
  let total = HEAD_BYTES;
  for (const [at, batch] of answer.batches.entries()) {
    total += batch.messages.length + BATCH_OVERHEAD_BYTES;
    if (total > limit && at > 0) return cut(answer, at, batch);
  }
  return answer;
}

function cut(answer: FetchAnswer, count: number, first: FetchedBatch): FetchAnswer {
  return { ...answer, batches: answer.batches.slice(0, count), nextOffset: first.baseOffset };
}

function fetchError(
  target: Target,
  head: FetchHead,
  outcome: Exclude<FetchOutcome, { status: 'ok' }>,
): CallError {
  switch (outcome.status) {
    case 'outOfRange':
      return outOfRange(target.queue, head.offset, outcome.startOffset, outcome.endOffset);
    case 'queueNotOpen':
      return queueNotOpen();
    case 'notLeader':
      return notLeader(target.shard, outcome.leader);
    case 'damaged':
      return new CallError('DATA_DAMAGED', `queue ${target.queue}: ${outcome.message}`);
    case 'cancelled':
      return new CallError('CANCELLED', 'the fetch was cancelled');
  }
}

export function outOfRange(queue: number, offset: number, start: number, end: number): CallError {
  const where = offset < start ? 'below the oldest kept' : 'past the end';
  return new CallError(
    'OFFSET_OUT_OF_RANGE',
    `queue ${queue}: offset ${offset} is ${where}: the queue holds ${start} to ${end} ` +
      '(start_offset, end_offset)',
    { metadata: { 'start-offset': String(start), 'end-offset': String(end) } },
  );
}

function tooManyPolls(polls: number, retryAfterMs: number): CallError {
  return new CallError(
    'NODE_BUSY',
    `${polls} fetches wait on this node (maxLongPolls): try again later`,
    { retryAfterMs },
  );
}
