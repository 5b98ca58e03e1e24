/** Messages of a topic by a key, from all shards that have queues of it. */
import type { TopicView } from '../../cluster/api.ts';
import { messageIdText } from '../../convert.ts';
import { CallError } from '../../status.ts';
import type { Call } from '../call.ts';
import { ask, step } from '../cold.ts';
import { type QueueName, topicRequest } from '../deliveries/requests.ts';
import { type KeyAnswer, type KeyMatch, MAX_MATCHES } from './keys.ts';
import type { TraceParts, TraceRequest } from './trace.ts';

interface Match {
  readonly message_id: string;
  readonly queue: number;
  readonly offset?: number;
  readonly stored_at_ms: number;
}

interface Scanned {
  readonly queue: number;
  readonly from_offset: number;
  readonly end_offset: number;
}

export interface FoundByKey {
  /** At least one. */
  readonly matches: readonly Match[];
  readonly scanned: readonly Scanned[];
}

export async function byKey(
  { router, topics, traceMethods }: TraceParts,
  call: Call,
  { dedup_key: dedupKey, key, topic: name }: TraceRequest,
): Promise<FoundByKey> {
  const topic = await step<TopicView>((done) => topics.find(call, topicRequest(name), done));
  const answers = await Promise.all(
    [...queuesByShard(topic)].map(async ([shard, queues]) => {
      const question = { queues, key, dedupKey };
      const found = await ask<KeyAnswer>(router, call, traceMethods.keys, shard, question);
      return { ...found, matches: found.matches.map((match) => matchOf(shard, match)) };
    }),
  );
  const scanned = answers
    .flatMap((answer) => answer.scanned)
    .map(({ queue, from, end }) => ({ queue, from_offset: from, end_offset: end }))
    .sort((a, b) => a.queue - b.queue);
  const matches = answers
    .flatMap((answer) => answer.matches)
    .sort((a, b) => b.stored_at_ms - a.stored_at_ms)
    .slice(0, MAX_MATCHES);
  if (matches.length === 0) throw notFound(topic, key, scanned);
  return { matches, scanned };
}

function matchOf(shard: number, { index, offset, position, queue, storedAtMs }: KeyMatch): Match {
  return {
    message_id: messageIdText(shard, index, position),
    queue,
    ...(offset === null ? {} : { offset }),
    stored_at_ms: storedAtMs,
  };
}

function queuesByShard({ queues }: TopicView): ReadonlyMap<number, readonly QueueName[]> {
  const shards = new Map<number, QueueName[]>();
  for (const { queue, queueId, shard } of queues) {
    const known = shards.get(shard);
    if (known === undefined) shards.set(shard, [{ queueId, queue }]);
    else known.push({ queueId, queue });
  }
  return shards;
}

function notFound(topic: TopicView, key: string, scanned: readonly Scanned[]): CallError {
  if (key === '') {
    return new CallError(
      'MESSAGE_NOT_FOUND',
      `topic ${topic.name} remembers no message with this dedup_key: never stored, or longer ago ` +
        'than its dedup_window_ms',
    );
  }
  const count = scanned.reduce((sum, one) => sum + one.end_offset - one.from_offset, 0);
  return new CallError(
    'MESSAGE_NOT_FOUND',
    `none of the newest ${count} messages of topic ${topic.name} has this key; older ones were ` +
      'not looked at, and delayed and half messages cannot be',
  );
}
