/** What the cold calls about subscriptions and dead letters ask the leader of a shard. */
import type { DeadLetterView } from '../../broker/dead-letters.ts';
import type { SubscriptionView } from '../../broker/deliveries-view.ts';
import type { ShardHost } from '../../shards/api.ts';
import { CallError } from '../../status.ts';
import type { Done } from '../call.ts';
import { decodeJson, encodeJson } from '../internal-methods.ts';
import type { ShardMethod } from '../methods.ts';
import { readError } from '../refusals.ts';
import { readPlaced } from './messages.ts';

export interface SubscriptionsQuestion {
  /** '' = all. */
  readonly group: string;
  /** '' = all. */
  readonly topicId: string;
}
export interface SubscriptionAnswer extends SubscriptionView {
  readonly topicId: string;
  readonly queue: number;
  readonly startOffset: number;
  readonly endOffset: number;
}

export interface DeadQuestion {
  readonly group: string;
  /** '' = all. */
  readonly topicId: string;
  /** Where to go on. */
  readonly fromQueueId: number;
  readonly fromOffset: number;
  readonly limit: number;
  /** 0 = without messages; otherwise as many as this holds. */
  readonly maxBytes: number;
}
export interface DeadAnswer extends DeadLetterView {
  readonly topicId: string;
  readonly queue: number;
  /** The encoded field `messages`; null = unreadable here; undefined = not asked for. */
  readonly message?: string | null;
}

export interface ShardQuestions {
  /** SubscriptionsQuestion → SubscriptionAnswer[]. */
  readonly subscriptions: ShardMethod;
  /** DeadQuestion → DeadAnswer[], by queue id and offset. */
  readonly dead: ShardMethod;
}

export function createShardQuestions(host: ShardHost): ShardQuestions {
  return {
    subscriptions: asked<SubscriptionsQuestion>(host, '.deliveries/list', (shard, question, done) =>
      done(undefined, encodeJson(subscriptionsOf(host, shard, question))),
    ),
    dead: asked<DeadQuestion>(host, '.deliveries/dead', (shard, question, done) =>
      deadOf(host, shard, question, done),
    ),
  };
}

/** After a round that proves that this node leads. */
function asked<Question>(
  host: ShardHost,
  name: string,
  answer: (shard: number, question: Question, done: Done) => void,
): ShardMethod {
  return {
    name,
    kind: 'read',
    perform: (_call, { shard }, body, _parsed, done) =>
      host.readIndex(shard, (outcome) => {
        if (outcome.status === 'ok') answer(shard, decodeJson<Question>(body), done);
        else done(readError(outcome, shard), undefined);
      }),
  };
}

function subscriptionsOf(
  host: ShardHost,
  shard: number,
  { group, topicId }: SubscriptionsQuestion,
): SubscriptionAnswer[] {
  const data = host.data(shard);
  const found: SubscriptionAnswer[] = [];
  for (const view of data.deliveries.subscriptions()) {
    const queue = data.queue(view.queueId);
    if (queue === undefined || (group !== '' && view.group !== group)) continue;
    if (topicId !== '' && queue.topicId !== topicId) continue;
    const { startOffset, endOffset } = queue;
    found.push({ ...view, topicId: queue.topicId, queue: queue.queue, startOffset, endOffset });
  }
  return found.sort((a, b) => a.queueId - b.queueId);
}

function deadOf(host: ShardHost, shard: number, question: DeadQuestion, done: Done): void {
  const { deliveries } = host.data(shard);
  const { fromOffset, fromQueueId, group, limit, maxBytes } = question;
  const found: Omit<DeadAnswer, 'message'>[] = [];
  for (const { queueId, queue, topicId } of subscriptionsOf(host, shard, question)) {
    if (queueId < fromQueueId || found.length >= limit) continue;
    const from = queueId === fromQueueId ? fromOffset : 0;
    const letters = deliveries.deadLetters(group, queueId, from, limit - found.length);
    found.push(...letters.map((letter) => ({ ...letter, topicId, queue })));
  }
  if (maxBytes === 0) {
    done(undefined, encodeJson(found));
    return;
  }
  readPlaced(host, shard, found, (read) => {
    const answers: DeadAnswer[] = [];
    let bytes = 0;
    for (const [at, letter] of found.entries()) {
      const message = read[at]?.bytes;
      bytes += message?.length ?? 0;
      if (bytes > maxBytes && answers.length > 0) break;
      const text = message === undefined ? null : Buffer.from(message).toString('base64');
      answers.push({ ...letter, message: text });
    }
    done(undefined, encodeJson(answers));
  });
}

export function noSuchSubscription(group: string, topic: string): CallError {
  return new CallError(
    'SUBSCRIPTION_NOT_FOUND',
    `group ${JSON.stringify(group)} is not subscribed to topic ${topic}: ` +
      'its first Receive subscribes it',
  );
}
