/**
 * One queue of a Subscribe stream: one long poll at a time, by the stream's credit and room. All
 * queues may poll for the same room. What comes too late for it waits here, else a slow client has
 * each message read once per queue.
 */
import type { TopicQueue } from '../cluster/api.ts';
import type { FilterText } from '../filter/filter.ts';
import type { Router } from '../router.ts';
import type { Caller } from '../security/caller.ts';
import type { CallError } from '../status.ts';
import { allowedCall, type Call, type Calls } from './call.ts';
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
  send(queue: number, frame: Buffer, count: number): void;
  /** False: as much as may waits for credit and room already. */
  hold(bytes: number): boolean;
  letGo(bytes: number): void;
  fail(error: CallError): void;
}

export interface LoopParts {
  readonly calls: Calls;
  readonly config: ServiceConfig;
  readonly fetch: ShardMethod;
  readonly router: Router;
  /** Was asked whether it may, and is again when that changes. */
  readonly caller: Caller | undefined;
  /** Of the whole stream. */
  readonly filter: FilterText | undefined;
}

interface Brought {
  readonly frame: Buffer;
  readonly count: number;
  readonly nextOffset: number;
}

export class QueueLoop {
  readonly #sink: LoopSink;
  readonly #parts: LoopParts;
  readonly #queue: TopicQueue;
  #offset: number;
  /** Read from `#offset` on, not sent yet. */
  #held: Brought | undefined;
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
    const isBusy = this.#call !== undefined || this.#retry !== undefined;
    if (this.#closed || isBusy || !this.#mayGo) return;
    if (this.#held !== undefined) this.#sendHeld(this.#held);
    if (this.#mayGo) this.#ask();
  }

  get #mayGo(): boolean {
    return this.#sink.credit > 0 && this.#sink.hasRoom;
  }

  #ask(): void {
    const { credit, pollBytes } = this.#sink;
    const { caller, calls, config, fetch, filter, router } = this.#parts;
    const { shard, queueId, queue } = this.#queue;
    const waitMs = config.maxWaitMs;
    const timeoutMs = waitMs + POLL_SLACK_MS;
    const call = calls.open(timeoutMs, allowedCall(caller), (error, answer) => {
      this.#call = undefined;
      if (this.#closed) return;
      if (error === undefined) this.#deliver(asBuffer(answer!));
      else this.#failed(error);
    });
    this.#call = call;
    const body = encodeFetchCall({
      ...{ offset: this.#offset, maxBytes: pollBytes, maxWaitMs: waitMs, maxMessages: credit },
      filter,
    });
    const target = { shard, queueId, queue, variant: FetchLayout.subscribe };
    router.route(call, { method: fetch, target, body }, call.finish);
  }

  close(): void {
    this.#closed = true;
    clearTimeout(this.#retry);
    this.#call?.cancel();
    this.#held = undefined;
  }

  #deliver(frame: Buffer): void {
    const brought = { frame, ...readSubscribeFrame(frame) };
    if (brought.count === 0) this.#pass(brought);
    else if (this.#mayGo && brought.count <= this.#sink.credit) this.#send(brought);
    else if (this.#sink.hold(frame.length)) this.#held = brought;
    this.poll();
  }

  /** Nothing, or what a filter left out: how far that is costs no credit. */
  #pass(brought: Brought): void {
    if (brought.nextOffset <= this.#offset) return;
    if (this.#sink.hasRoom) this.#send(brought);
    else this.#offset = brought.nextOffset;
  }

  /** More than there is credit for is read again, as much as may be sent. */
  #sendHeld(held: Brought): void {
    this.#held = undefined;
    this.#sink.letGo(held.frame.length);
    if (held.count <= this.#sink.credit) this.#send(held);
  }

  #send({ frame, count, nextOffset }: Brought): void {
    this.#offset = Math.max(this.#offset, nextOffset);
    this.#sink.send(this.#queue.queue, frame, count);
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
