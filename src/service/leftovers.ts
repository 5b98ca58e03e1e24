/**
 * Is a topic drained? Behind a fence nothing new comes to its queues, so what every shard answers
 * stays true: no batch still waits for an offset, and every group that reads has read all.
 */
import type { DataShard } from '../broker/api.ts';
import { offsetsName, readersOf } from '../broker/group-shares.ts';
import type { TopicView } from '../cluster/api.ts';
import type { ShardHost } from '../shards/api.ts';
import { CallError } from '../status.ts';
import type { Call } from './call.ts';
import { ask } from './cold.ts';
import type { ExecutorParts } from './executor-parts.ts';
import { afterRound, decodeJson, encodeJson, type QueueRange } from './internal-methods.ts';
import type { ShardMethod } from './methods.ts';
import type { OffsetCalls } from './offsets.ts';

const META_SHARD = 0;

interface LeftoversQuestion {
  readonly topicId: string;
  readonly queues: readonly QueueEnds[];
}
interface QueueEnds {
  readonly queue: number;
  readonly queueId: number;
  readonly start: number;
  readonly end: number;
}
/** What the shard knows first; null = nothing is left. */
interface LeftoversAnswer {
  readonly left: string | null;
}

/** LeftoversQuestion → LeftoversAnswer. */
function createLeftoversMethod(host: ShardHost): ShardMethod {
  return {
    name: '.shard/leftovers',
    kind: 'read',
    perform: (_call, target, body, _parsed, done) =>
      afterRound(host, target, done, () => {
        const question = decodeJson<LeftoversQuestion>(body);
        const [left = null] = leftovers(host.data(target.shard), question);
        done(undefined, encodeJson({ left } satisfies LeftoversAnswer));
      }),
  };
}

/** What is left of a topic all of whose queues are fenced. */
export class Leftovers {
  readonly method: ShardMethod;
  readonly #parts: ExecutorParts;
  readonly #offsets: OffsetCalls;

  constructor(parts: ExecutorParts, offsets: OffsetCalls) {
    this.method = createLeftoversMethod(parts.host);
    this.#parts = parts;
    this.#offsets = offsets;
  }

  /** Throws NOT_DRAINED. */
  async check(call: Call, topic: TopicView): Promise<void> {
    // Once nothing waits for an offset any more, the ends of the queues are final.
    await this.#ask(call, topic, () => ({ start: 0, end: 0 }));
    const ranges = await this.#offsets.ranges(call, topic.queues, undefined);
    await this.#ask(call, topic, (at) => ranges[at]!);
  }

  async #ask(
    call: Call,
    { name, queues, topicId }: TopicView,
    rangeAt: (at: number) => Pick<QueueRange, 'start' | 'end'>,
  ): Promise<void> {
    const { host, router } = this.#parts;
    const question: LeftoversQuestion = {
      topicId,
      queues: queues.map(({ queue, queueId }, at) => {
        const { start, end } = rangeAt(at);
        return { queue, queueId, start, end };
      }),
    };
    const shards = host.shards().filter((shard) => shard !== META_SHARD);
    const answers = await Promise.all(
      shards.map((shard) => ask<LeftoversAnswer>(router, call, this.method, shard, question)),
    );
    const first = answers.find(({ left }) => left !== null);
    if (first === undefined) return;
    throw new CallError('NOT_DRAINED', `topic ${name} is not drained: ${first.left}`);
  }
}

/** Of the queues and of the groups that the shard holds. */
function* leftovers(data: DataShard, question: LeftoversQuestion): Generator<string> {
  for (const queue of question.queues) yield* leftInQueue(data, queue);
  for (const group of groupsOf(data)) yield* leftToRead(data, group, question);
}

function* leftInQueue(data: DataShard, { queue, queueId, end }: QueueEnds): Generator<string> {
  const waiting = data.waitingIn(queueId);
  if (waiting > 0) {
    yield `${waiting} delayed or half messages of queue ${queue} wait for their time or outcome`;
  }
  for (const { group, queueId: of, cursor, pending } of data.deliveries.subscriptions()) {
    if (of !== queueId || (pending === 0 && cursor >= end)) continue;
    const left = pending + Math.max(0, end - cursor);
    const who = JSON.stringify(group);
    yield `group ${who} has ${left} messages of queue ${queue} to receive or settle`;
  }
}

function groupsOf(data: DataShard): Set<string> {
  const groups = new Set(data.groupNames('', Number.MAX_SAFE_INTEGER));
  for (const { group } of data.memberships()) groups.add(group);
  return groups;
}

/** Who never committed on the topic and has nobody who reads it does not count. */
function* leftToRead(
  data: DataShard,
  group: string,
  { topicId, queues }: LeftoversQuestion,
): Generator<string> {
  for (const name of committersOf(data, group, topicId)) {
    const committed = new Map(
      data.groupOffsets(name, topicId).map(({ queue, offset }) => [queue, offset]),
    );
    for (const { queue, start, end } of queues) {
      const offset = committed.get(queue);
      const left = end - Math.max(offset ?? start, start);
      if (left <= 0) continue;
      const who = JSON.stringify(name);
      yield offset === undefined
        ? `group ${who} has committed nothing in queue ${queue}, which holds ${left} messages`
        : `group ${who} has ${left} messages of queue ${queue} to read`;
    }
  }
}

/** Under whose names offsets are kept: the group's, or those of its members. */
function committersOf(data: DataShard, group: string, topicId: string): string[] {
  const state = data.membership(group);
  const readers = state?.topics.has(topicId) === true ? readersOf(state, topicId) : [];
  if (state?.mode === 'broadcast' && readers.length > 0) {
    return readers.map((memberId) => offsetsName(group, 'broadcast', memberId));
  }
  const isConcerned = readers.length > 0 || data.groupOffsets(group, topicId).length > 0;
  return isConcerned ? [group] : [];
}
