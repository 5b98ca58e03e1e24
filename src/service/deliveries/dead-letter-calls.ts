/** Dead letters of a group, over the shards: listed, read, sent again, purged. */
import { encodeCommand } from '../../broker/command-codec.ts';
import type { ApplyResult } from '../../broker/commands.ts';
import type { TopicView } from '../../cluster/api.ts';
import { checkedName, checkedNumber, messageIdText, parseMessageId } from '../../convert.ts';
import { DEMANDS, type Demand } from '../../security/permissions.ts';
import { CallError } from '../../status.ts';
import type { Call } from '../call.ts';
import { ask, step } from '../cold.ts';
import type { ExecutorParts } from '../executor-parts.ts';
import type { Proposed } from '../internal-methods.ts';
import { appliedError } from '../produce.ts';
import { encodeDeliveries } from './encode.ts';
import { RECEIVE_PATH, topicRequest } from './requests.ts';
import type { DeadAnswer, DeadQuestion, ShardQuestions } from './shard-questions.ts';

export interface DeadLettersRequest {
  readonly group: string;
  readonly topic: string;
  readonly page_size: number;
  readonly page_token: string;
}
export interface SettleDeadRequest {
  readonly group: string;
  readonly topic: string;
  readonly message_ids: readonly string[];
  readonly all: boolean;
}

interface Place {
  readonly shard: number;
  readonly queueId: number;
  readonly offset: number;
}

const PAGE_TOKEN = /^([0-9]{1,9})\.([0-9]{1,15})\.([0-9]{1,15})$/;
const MAX_IDS = 1024;
/** Dead letters that one entry settles. */
const MAX_PER_ENTRY = 1000;

export class DeadLetterCalls {
  readonly #parts: ExecutorParts;
  readonly #questions: ShardQuestions;

  constructor(parts: ExecutorParts, questions: ShardQuestions) {
    this.#parts = parts;
    this.#questions = questions;
  }

  list(call: Call, request: DeadLettersRequest): Promise<object> {
    return this.#page(call, request, DEMANDS.readTopic, 0);
  }

  read(call: Call, request: DeadLettersRequest): Promise<object> {
    return this.#page(call, request, DEMANDS.fetchFrom, this.#parts.config.defaultFetchBytes);
  }

  async settle(
    call: Call,
    request: SettleDeadRequest,
    action: 'resend' | 'purge',
  ): Promise<object> {
    checkedName('group', request.group);
    checkIds(request);
    const ids = request.message_ids.map((id) => parseMessageId('message_ids', id));
    const topicId = await this.#topicId(call, request.topic);
    const shards = request.all
      ? this.#shards()
      : this.#shards().filter((shard) => ids.some((id) => id.shard === shard));
    let count = 0;
    for (const shard of shards) {
      const wanted = new Set(
        ids.filter((id) => id.shard === shard).map((id) => `${id.index}-${id.position}`),
      );
      const isWanted = ({ firstIndex, position }: DeadAnswer) =>
        request.all || wanted.has(`${firstIndex}-${position}`);
      count += await this.#settleShard(call, shard, request.group, topicId, isWanted, action);
    }
    return { count };
  }

  /** Page by page, so that no question is large; what dies meanwhile may be left for next time. */
  async #settleShard(
    call: Call,
    shard: number,
    group: string,
    topicId: string,
    isWanted: (letter: DeadAnswer) => boolean,
    action: 'resend' | 'purge',
  ): Promise<number> {
    let count = 0;
    let from = { fromQueueId: 0, fromOffset: 0 };
    for (;;) {
      const asked = { group, topicId, ...from, limit: MAX_PER_ENTRY, maxBytes: 0 };
      const letters = await this.#ask(call, shard, asked);
      const byQueue = new Map<number, number[]>();
      for (const { offset, queueId } of letters.filter(isWanted)) {
        byQueue.set(queueId, [...(byQueue.get(queueId) ?? []), offset]);
      }
      for (const [queueId, offsets] of byQueue) {
        count += await this.#settleQueue(call, shard, { group, queueId, action, offsets });
      }
      const last = letters.at(-1);
      if (last === undefined || letters.length < MAX_PER_ENTRY) return count;
      from = { fromQueueId: last.queueId, fromOffset: last.offset + 1 };
    }
  }

  async #settleQueue(
    call: Call,
    shard: number,
    what: {
      readonly group: string;
      readonly queueId: number;
      readonly action: 'resend' | 'purge';
      readonly offsets: readonly number[];
    },
  ): Promise<number> {
    const { methods, router } = this.#parts;
    const head = encodeCommand({ type: 'settleDead', ...what });
    const { result } = await ask<Proposed>(router, call, methods.propose, shard, head);
    const applied = result as ApplyResult;
    if (applied.type !== 'deadSettled') throw appliedError(applied);
    return applied.count;
  }

  async #page(
    call: Call,
    request: DeadLettersRequest,
    demand: Demand,
    maxBytes: number,
  ): Promise<object> {
    checkedName('group', request.group);
    const { defaultPageSize, maxPageSize } = this.#parts.config;
    const size = checkedNumber('page_size', request.page_size, maxPageSize) || defaultPageSize;
    const from = parsePageToken(request.page_token);
    const topicId = await this.#topicId(call, request.topic);
    for (const shard of this.#shards()) {
      if (shard < from.shard) continue;
      const isFirst = shard === from.shard;
      const letters = await this.#ask(call, shard, {
        ...{ group: request.group, topicId, limit: size, maxBytes },
        fromQueueId: isFirst ? from.queueId : 0,
        fromOffset: isFirst ? from.offset : 0,
      });
      // A page is of one shard: the next one begins where this one ended.
      if (letters.length > 0) return this.#pageOf(shard, letters, (name) => call.may(demand, name));
    }
    return { dead_letters: [], next_page_token: '' };
  }

  #pageOf(
    shard: number,
    letters: readonly DeadAnswer[],
    isShown: (topic: string) => boolean,
  ): object {
    const { queueId, offset } = letters.at(-1)!;
    return {
      dead_letters: letters
        .filter(({ topicId }) => isShown(this.#topicName(topicId)))
        .map((letter) => this.#fields(shard, letter)),
      next_page_token: `${shard}.${queueId}.${offset + 1}`,
    };
  }

  #fields(shard: number, letter: DeadAnswer): object {
    const { firstIndex, message, position } = letter;
    return {
      message_id: messageIdText(shard, firstIndex, position),
      topic: this.#topicName(letter.topicId),
      queue: letter.queue,
      offset: letter.offset,
      attempts: letter.attempts,
      cause: letter.cause.toUpperCase(),
      died_at_ms: letter.diedAtMs,
      stored_at_ms: letter.storedAtMs,
      consumer: letter.consumer,
      unreadable: message === null,
      messages: typeof message === 'string' ? [this.#message(message)] : [],
    };
  }

  #topicName(topicId: string): string {
    return this.#parts.host.meta().topicById(topicId)?.name ?? '';
  }

  /** As a field of a Delivery, which is how our decoder reads a message alone. */
  #message(base64: string): object {
    const bytes = encodeDeliveries([Buffer.from(base64, 'base64')]);
    const { responseDeserialize } = this.#parts.proto.method(RECEIVE_PATH);
    const { deliveries } = responseDeserialize(bytes) as {
      readonly deliveries: readonly [{ readonly messages: readonly [object] }];
    };
    return deliveries[0].messages[0];
  }

  #ask(call: Call, shard: number, question: DeadQuestion): Promise<DeadAnswer[]> {
    return ask(this.#parts.router, call, this.#questions.dead, shard, question);
  }

  #shards(): readonly number[] {
    return this.#parts.host.shards().filter((shard) => shard !== 0);
  }

  async #topicId(call: Call, topic: string): Promise<string> {
    if (topic === '') return '';
    const wanted = topicRequest(topic);
    const found = await step<TopicView>((done) => this.#parts.topics.find(call, wanted, done));
    return found.topicId;
  }
}

function checkIds({ all, message_ids: ids, topic }: SettleDeadRequest): void {
  if (all === ids.length > 0) {
    throw new CallError('INVALID_REQUEST', 'give message_ids, or `all`: one of them');
  }
  if (!all && topic !== '') {
    throw new CallError('INVALID_REQUEST', 'message_ids name their topic: leave `topic` out');
  }
  if (ids.length <= MAX_IDS) return;
  throw new CallError(
    'INVALID_REQUEST',
    `${ids.length} message_ids in one call: at most ${MAX_IDS} are allowed. Send several`,
  );
}

function parsePageToken(text: string): Place {
  if (text === '') return { shard: 0, queueId: 0, offset: 0 };
  const match = PAGE_TOKEN.exec(text);
  if (match === null) {
    throw new CallError('INVALID_REQUEST', 'page_token is not one that an earlier page gave');
  }
  const [shard, queueId, offset] = match.slice(1).map(Number);
  return { shard: shard!, queueId: queueId!, offset: offset! };
}
