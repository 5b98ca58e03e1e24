/** Subscriptions as operators see them: listed, described, moved, deleted. */
import { encodeCommand } from '../../broker/command-codec.ts';
import type { ApplyResult } from '../../broker/commands.ts';
import type { DeliveryCommand } from '../../broker/delivery-commands.ts';
import type { TopicQueue, TopicView } from '../../cluster/api.ts';
import { checkedName, checkedNumber, int64 } from '../../convert.ts';
import { DEMANDS } from '../../security/permissions.ts';
import { CallError } from '../../status.ts';
import type { Call } from '../call.ts';
import { ask, step } from '../cold.ts';
import type { ExecutorParts } from '../executor-parts.ts';
import type { Proposed } from '../internal-methods.ts';
import type { OffsetCalls } from '../offsets.ts';
import { appliedError } from '../produce.ts';
import { LATEST, topicRequest } from './requests.ts';
import {
  noSuchSubscription,
  type ShardQuestions,
  type SubscriptionAnswer,
  type SubscriptionsQuestion,
} from './shard-questions.ts';

interface GroupAndTopic {
  readonly group: string;
  readonly topic: string;
  readonly topic_id: string;
}
export interface ListRequest {
  readonly group: string;
  readonly page_size: number;
  readonly page_token: string;
}
export interface SeekRequest extends GroupAndTopic {
  readonly queues: readonly number[];
  readonly to?: 'from' | 'at_ms' | 'offset';
  readonly from?: number;
  readonly at_ms?: string;
  readonly offset?: string;
}

interface Subscribed {
  readonly topic: TopicView;
  readonly queues: readonly SubscriptionAnswer[];
}

export class SubscriptionCalls {
  readonly #parts: ExecutorParts;
  readonly #questions: ShardQuestions;
  readonly #offsets: OffsetCalls;

  constructor(parts: ExecutorParts, questions: ShardQuestions, offsets: OffsetCalls) {
    this.#parts = parts;
    this.#questions = questions;
    this.#offsets = offsets;
  }

  async list(call: Call, request: ListRequest): Promise<object> {
    if (request.group !== '') checkedName('group', request.group);
    const { defaultPageSize, maxPageSize } = this.#parts.config;
    const size = checkedNumber('page_size', request.page_size, maxPageSize) || defaultPageSize;
    const shards = this.#parts.host.shards().filter((shard) => shard !== 0);
    const found = await this.views(call, shards, { group: request.group, topicId: '' });
    const names = new Map<string, SubscriptionAnswer[]>();
    for (const view of found) {
      const topic = this.#parts.host.meta().topicById(view.topicId)?.name;
      if (topic === undefined || !mayBeSeen(call, view.group, topic)) continue;
      const name = `${view.group}/${topic}`;
      names.set(name, [...(names.get(name) ?? []), view]);
    }
    const sorted = [...names.keys()].sort();
    const after = sorted.filter((name) => name > request.page_token);
    const page = after.slice(0, size);
    return {
      subscriptions: page.map((name) => {
        const [group = '', topic = ''] = name.split('/');
        return summaryOf(group, topic, names.get(name)!);
      }),
      next_page_token: after.length > page.length ? page.at(-1) : '',
    };
  }

  async describe(call: Call, request: GroupAndTopic): Promise<object> {
    const { topic, queues } = await this.#subscribed(call, request);
    return {
      summary: summaryOf(request.group, topic.name, queues),
      queues: queues.map((view) => ({
        queue: view.queue,
        cursor: cursorOf(view),
        start_offset: view.startOffset,
        end_offset: view.endOffset,
        lag: lagOf(view),
        pending: view.pending,
        leased: view.leased,
        dead: view.dead,
        dead_refused: view.deadRefused,
      })),
    };
  }

  async seek(call: Call, request: SeekRequest): Promise<object> {
    const atMs = request.to === 'at_ms' ? int64('at_ms', request.at_ms) : undefined;
    const offset = request.to === 'offset' ? int64('offset', request.offset) : undefined;
    checkSeek(request);
    const { topic, queues } = await this.#subscribed(call, request);
    const wanted = chosen(topic, request.queues);
    for (const { queue } of wanted) {
      if (queues.some((view) => view.queue === queue)) continue;
      throw noSuchSubscription(request.group, `${topic.name}, queue ${queue}`);
    }
    const ranges = await this.#offsets.ranges(call, wanted, atMs);
    const sought = await Promise.all(
      wanted.map(async ({ queue, queueId, shard }, at) => {
        const { atTime, end, start } = ranges[at]!;
        if (offset !== undefined && offset > end) throw pastEnd(queue, offset, end);
        const to = request.from === LATEST ? end : start;
        const target = offset ?? (atMs === undefined ? to : atTime);
        const name = { group: request.group, queueId };
        const command = { type: 'seekSubscription', ...name, offset: target } as const;
        const result = await this.propose(call, shard, command);
        if (result.type !== 'sought') throw appliedError(result);
        return { queue, cursor: result.cursor };
      }),
    );
    return { queues: sought };
  }

  async delete(call: Call, request: GroupAndTopic): Promise<object> {
    const { topic, queues } = await this.#subscribed(call, request);
    await Promise.all(
      queues.map(async ({ queueId }) => {
        const { shard } = topic.queues.find((queue) => queue.queueId === queueId)!;
        const command = { type: 'unsubscribe', group: request.group, queueId } as const;
        const result = await this.propose(call, shard, command);
        // Another call was faster: gone is gone.
        const isGone = result.type === 'refused' && isUnknown(result.refusal);
        if (result.type !== 'done' && !isGone) throw appliedError(result);
      }),
    );
    return {};
  }

  async views(
    call: Call,
    shards: readonly number[],
    question: SubscriptionsQuestion,
  ): Promise<SubscriptionAnswer[]> {
    const { router } = this.#parts;
    const method = this.#questions.subscriptions;
    const found = await Promise.all(
      shards.map((shard) => ask<SubscriptionAnswer[]>(router, call, method, shard, question)),
    );
    return found.flat();
  }

  async propose(call: Call, shard: number, command: DeliveryCommand): Promise<ApplyResult> {
    const { methods, router } = this.#parts;
    const head = encodeCommand(command);
    const { result } = await ask<Proposed>(router, call, methods.propose, shard, head);
    return result as ApplyResult;
  }

  /** The topic, and the subscription of the group to it: there is one. */
  async #subscribed(call: Call, request: GroupAndTopic): Promise<Subscribed> {
    checkedName('group', request.group);
    const wanted = topicRequest(request.topic, request.topic_id);
    const topic = await step<TopicView>((done) => this.#parts.topics.find(call, wanted, done));
    const shards = [...new Set(topic.queues.map(({ shard }) => shard))];
    const { topicId } = topic;
    const views = await this.views(call, shards, { group: request.group, topicId });
    if (views.length === 0) throw noSuchSubscription(request.group, topic.name);
    return { topic, queues: views.sort((a, b) => a.queue - b.queue) };
  }
}

function mayBeSeen(call: Call, group: string, topic: string): boolean {
  return call.may(DEMANDS.readGroup, group) && call.may(DEMANDS.readTopic, topic);
}

function isUnknown({ reason }: { readonly reason: string }): boolean {
  return reason === 'SUBSCRIPTION_NOT_FOUND';
}

function checkSeek({ from, queues, to }: SeekRequest): void {
  if (to === undefined) {
    throw new CallError('INVALID_REQUEST', 'say where to: from, at_ms or offset');
  }
  if (to === 'from' && from !== 1 && from !== LATEST) {
    throw new CallError('INVALID_REQUEST', '`from` must be EARLIEST or LATEST');
  }
  if (to === 'offset' && queues.length !== 1) {
    throw new CallError(
      'INVALID_REQUEST',
      `an offset is one of a queue: name exactly one queue, not ${queues.length}`,
    );
  }
}

function pastEnd(queue: number, offset: number, end: number): CallError {
  return new CallError(
    'OFFSET_PAST_END',
    `queue ${queue}: offset ${offset} is past the end: end_offset is ${end}`,
    { metadata: { queue: String(queue), 'end-offset': String(end) } },
  );
}

function chosen(topic: TopicView, queues: readonly number[]): readonly TopicQueue[] {
  if (queues.length === 0) return topic.queues;
  return [...new Set(queues)].map((queue) => {
    const found = topic.queues[queue];
    if (found !== undefined) return found;
    throw new CallError('QUEUE_NOT_FOUND', `topic ${topic.name} has no queue ${queue}`, {
      metadata: { 'queue-count': String(topic.queues.length) },
    });
  });
}

function cursorOf({ cursor, startOffset }: SubscriptionAnswer): number {
  return Math.max(cursor, startOffset);
}

function lagOf(view: SubscriptionAnswer): number {
  return view.endOffset - cursorOf(view);
}

function summaryOf(group: string, topic: string, views: readonly SubscriptionAnswer[]): object {
  const sum = (of: (view: SubscriptionAnswer) => number) =>
    views.reduce((total, view) => total + of(view), 0);
  return {
    ...{ group, topic, fifo: views[0]?.fifo ?? false, filter: views[0]?.filter },
    lag: sum(lagOf),
    pending: sum(({ pending }) => pending),
    leased: sum(({ leased }) => leased),
    dead: sum(({ dead }) => dead),
  };
}
