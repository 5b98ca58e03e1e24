/**
 * Which queue a message goes to: by its ordering keys, as named, by its own key where the topic is
 * compacted, by its dedup keys, or in turn.
 */
import type { MessageKey } from '../broker/commands.ts';
import type { TopicView } from '../cluster/api.ts';
import { keyHash } from '../cluster/hash.ts';
import { CallError } from '../status.ts';

/** What a queue is picked by. */
export interface QueueWish {
  /** -1 = not named. */
  readonly queue: number;
  readonly orderingKeys: readonly string[] | undefined;
  readonly dedupKeys?: readonly string[] | undefined;
  /** Of a compacted topic. */
  readonly messageKeys?: readonly MessageKey[] | undefined;
  readonly count: number;
}

/** Round robin for requests that name neither queue nor key: per topic, on this node. */
export class QueuePicker {
  readonly #next = new Map<string, number>();
  readonly #maxTopics: number;
  readonly #maxKeyBytes: number;

  constructor(maxTopics: number, maxKeyBytes: number) {
    this.#maxTopics = maxTopics;
    this.#maxKeyBytes = maxKeyBytes;
  }

  pick(topic: TopicView, wish: QueueWish): number | CallError {
    if (wish.orderingKeys !== undefined) return this.#byKey(topic, wish);
    if (wish.queue >= 0) return wish.queue;
    if (wish.messageKeys !== undefined) {
      const keys = wish.messageKeys.map(({ key }) => key);
      return sharedQueue('keys of the messages', keys, topic);
    }
    if (wish.dedupKeys !== undefined) return sharedQueue('dedup_keys', wish.dedupKeys, topic);
    const next = this.#next.get(topic.topicId) ?? 0;
    if (this.#next.size >= this.#maxTopics) this.#next.clear();
    this.#next.set(topic.topicId, (next + 1) % topic.queues.length);
    return next % topic.queues.length;
  }

  #byKey(topic: TopicView, wish: QueueWish): number | CallError {
    const keys = wish.orderingKeys!;
    if (keys.length !== 1 && keys.length !== wish.count) {
      return new CallError(
        'INVALID_REQUEST',
        `${keys.length} ordering_keys for ${wish.count} messages: give one, or one per message`,
      );
    }
    if (keys.some((key) => Buffer.byteLength(key) > this.#maxKeyBytes)) {
      return new CallError(
        'INVALID_REQUEST',
        `an ordering key has more than ${this.#maxKeyBytes} bytes (maxOrderingKeyBytes)`,
      );
    }
    const queue = sharedQueue('ordering_keys', keys, topic);
    // A queue that is named wins: the client picked it by the same hash, or means to override it.
    return queue instanceof CallError || wish.queue < 0 ? queue : wish.queue;
  }
}

/** The one queue that all keys fall on. */
function sharedQueue(field: string, keys: readonly string[], topic: TopicView): number | CallError {
  let queue = -1;
  for (const key of keys) {
    const falls = keyHash(key) % topic.queues.length;
    if (queue >= 0 && falls !== queue) {
      return new CallError(
        'KEYS_ON_DIFFERENT_QUEUES',
        `the ${field} fall on queues ${queue} and ${falls}: send one request per queue`,
      );
    }
    queue = falls;
  }
  return queue;
}
