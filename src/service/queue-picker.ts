/** Which queue a message goes to: by its ordering keys, as named, or in turn. */
import type { TopicView } from '../cluster/api.ts';
import { keyHash } from '../cluster/hash.ts';
import { CallError } from '../status.ts';

/** What a queue is picked by. */
export interface QueueWish {
  /** -1 = not named. */
  readonly queue: number;
  readonly orderingKeys: readonly string[] | undefined;
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
    let queue = -1;
    for (const key of keys) {
      if (Buffer.byteLength(key) > this.#maxKeyBytes) {
        return new CallError(
          'INVALID_REQUEST',
          `an ordering key has more than ${this.#maxKeyBytes} bytes (maxOrderingKeyBytes)`,
        );
      }
      const falls = keyHash(key) % topic.queues.length;
      if (queue >= 0 && falls !== queue) return differentQueues(queue, falls);
      queue = falls;
    }
    // A queue that is named wins: the client picked it by the same hash, or means to override it.
    return wish.queue >= 0 ? wish.queue : queue;
  }
}

function differentQueues(first: number, other: number): CallError {
  return new CallError(
    'KEYS_ON_DIFFERENT_QUEUES',
    `the ordering_keys fall on queues ${first} and ${other}: send one request per queue`,
  );
}
