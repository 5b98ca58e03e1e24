/** One queue of a Subscribe stream: one long poll at a time, by the stream's credit and room. */
import type { TopicQueue } from '../cluster/api.ts';
import type { Router } from '../router.ts';
import type { CallError } from '../status.ts';
import { type Call, type Calls, OWN_CALL } from './call.ts';
import type { ServiceConfig } from './config.ts';
import { FetchLayout } from './fetch.ts';
import type { ShardMethod } from './methods.ts';
import { encodeFetchCall, readSubscribeFrame } from './responses.ts';
import { asBuffer } from './wire.ts';

/** What a poll may take beyond its wait (a leader change, a slow disk) before it is asked again. */
const POLL_SLACK_MS = 5_000;
const RETRY_AFTER_MS = 100;

export interface LoopSink {
  readonly credit: number;
  readonly hasRoom: boolean;
  readonly pollBytes: number;
  send(frame: Buffer, count: number): void;
  fail(error: CallError): void;
}

export interface LoopParts {
  readonly calls: Calls;
  readonly config: ServiceConfig;
  readonly fetch: ShardMethod;
  readonly router: Router;
}

export class QueueLoop {
  readonly #sink: LoopSink;
  readonly #parts: LoopParts;
  readonly #queue: TopicQueue;
  #offset: number;
  #call: Call | undefined;
  #retry: NodeJS.Timeout | undefined;
  #closed = false;

  constructor(sink: LoopSink, parts: LoopParts, queue: TopicQueue, offset: number) {
    this.#sink = sink;
    this.#parts = parts;
    this.#queue = queue;
    this.#offset = offset;
  }

  /** Does nothing while a poll is under way, or without credit or room. */
  poll(): void {
    const { credit, hasRoom, pollBytes } = this.#sink;
    const busy = this.#call !== undefined || this.#retry !== undefined;
    if (this.#closed || busy || credit <= 0 || !hasRoom) return;
    const { calls, config, fetch, router } = this.#parts;
    const { shard, queueId, queue } = this.#queue;
    const waitMs = config.maxWaitMs;
    const timeoutMs = waitMs + POLL_SLACK_MS;
    const call = calls.open(timeoutMs, OWN_CALL, (error, answer) => {
      this.#call = undefined;
      if (this.#closed) return;
      if (error === undefined) this.#deliver(asBuffer(answer!));
      else this.#failed(error);
    });
    this.#call = call;
    const body = encodeFetchCall({
      ...{ offset: this.#offset, maxBytes: pollBytes, maxWaitMs: waitMs, maxMessages: credit },
    });
    const target = { shard, queueId, queue, variant: FetchLayout.subscribe };
    router.route(call, { method: fetch, target, body }, call.finish);
  }

  close(): void {
    this.#closed = true;
    clearTimeout(this.#retry);
    this.#call?.cancel();
  }

  #deliver(frame: Buffer): void {
    const { nextOffset, count } = readSubscribeFrame(frame);
    // Another queue took the credit or the room meanwhile: what came is read again later.
    const fits = count <= this.#sink.credit && this.#sink.hasRoom;
    if (count === 0 || fits) this.#offset = Math.max(this.#offset, nextOffset);
    if (count > 0 && fits) this.#sink.send(frame, count);
    this.poll();
  }

  #failed(error: CallError): void {
    const again = error.retryable || error.reason === 'DEADLINE_EXCEEDED';
    if (!again) {
      this.#sink.fail(error);
      return;
    }
    this.#retry = setTimeout(() => {
      this.#retry = undefined;
      this.poll();
    }, error.retryAfterMs || RETRY_AFTER_MS);
  }
}
