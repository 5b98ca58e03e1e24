import { type Calls, plan } from './calls.ts';
import { filterField } from './convert.ts';
import { nextMessage, readFetchResponse } from './fetch-codec.ts';
import type { Proto, WireObject } from './proto.ts';
import type { CallOptions, Filter, Message } from './types.ts';

export interface FetchOptions {
  readonly topic: string;
  readonly queue: number;
  readonly offset: number;
  /** Default 1 MiB, at most 16 MiB; one message always fits. */
  readonly maxBytes?: number | undefined;
  readonly maxMessages?: number | undefined;
  /** How long to wait at the end of the queue. Default: not at all. */
  readonly maxWaitMs?: number | undefined;
  /** See every message acknowledged before this call. */
  readonly linearizable?: boolean | undefined;
  readonly topicId?: string | undefined;
  readonly filter?: Filter | undefined;
}

export interface FetchResult {
  /** With a filter, and of a compacted topic, it may be empty before the end of the queue. */
  readonly messages: readonly Message[];
  /** Where to go on: past what was left out. */
  readonly nextOffset: number;
  readonly startOffset: number;
  readonly endOffset: number;
}

/** Time left for the answer to travel, beyond what the server waits. */
const ANSWER_MARGIN_MS = 5_000;

export class Fetcher {
  readonly #calls: Calls;
  readonly #method;

  constructor(calls: Calls, proto: Proto) {
    this.#calls = calls;
    const { path, requestSerialize } = proto.method('Log', 'Fetch');
    this.#method = { path, requestSerialize, responseDeserialize: readFetchResponse };
  }

  async fetch(query: FetchOptions, options: CallOptions = {}): Promise<FetchResult> {
    const { maxWaitMs = 0 } = query;
    const timeoutMs = options.timeoutMs ?? Math.max(30_000, maxWaitMs + ANSWER_MARGIN_MS);
    const callPlan = plan('read', { ...options, timeoutMs });
    const answer = await this.#calls.unary(this.#method, request(query), callPlan);
    const messages: Message[] = [];
    for (const batch of answer.batches) {
      for (let i = 0; i < batch.count; i++) {
        messages.push(nextMessage(batch, i, query.topic, query.queue));
      }
    }
    const { nextOffset, startOffset, endOffset } = answer;
    return { messages, nextOffset, startOffset, endOffset };
  }
}

function request(query: FetchOptions): WireObject {
  const { topic, queue, offset, maxBytes, maxMessages, maxWaitMs, linearizable, topicId } = query;
  return {
    topic,
    queue,
    offset: String(offset),
    max_bytes: maxBytes ?? 0,
    max_messages: maxMessages ?? 0,
    max_wait_ms: maxWaitMs ?? 0,
    linearizable: linearizable ?? false,
    topic_id: topicId ?? '',
    ...filterField(query.filter),
  };
}
