/**
 * Topics as this node's replica of the metadata shard knows them. A *no* is said only after that
 * replica has provably caught up with the shard's leader.
 */
import type { TopicQueue, TopicView } from '../cluster/api.ts';
import { checkedName } from '../convert.ts';
import type { Router } from '../router.ts';
import type { ShardHost } from '../shards/api.ts';
import { CallError } from '../status.ts';
import type { AppliedWaits } from './applied-waits.ts';
import type { Call } from './call.ts';
import { decodeJson } from './internal-methods.ts';
import { type ShardMethod, shardTarget } from './methods.ts';
import { queueNotOpen, topicNotFound } from './refusals.ts';

export interface TopicRequest {
  readonly topic: string;
  /** '' = any. */
  readonly topicId: string;
  /** -1 = none in particular. */
  readonly queue: number;
  /** -1 = not given. */
  readonly queueEpoch: number;
}

const NO_BYTES = new Uint8Array(0);

export class TopicDirectory {
  readonly #host: ShardHost;
  readonly #router: Router;
  readonly #waits: AppliedWaits;
  readonly #readIndex: ShardMethod;

  constructor(host: ShardHost, router: Router, waits: AppliedWaits, readIndex: ShardMethod) {
    this.#readIndex = readIndex;
    this.#host = host;
    this.#router = router;
    this.#waits = waits;
  }

  /** How far this node's replica of the metadata is. */
  get appliedIndex(): number {
    return this.#waits.appliedIndex;
  }

  /** What this node knows without asking; undefined = ask. */
  known(request: TopicRequest): TopicView | undefined {
    const topic = this.#host.meta().topic(request.topic);
    return topic !== undefined && misfit(topic, request) === undefined ? topic : undefined;
  }

  /** At once where the topic is known and fits; otherwise after asking the metadata's leader. */
  find(
    call: Call,
    request: TopicRequest,
    done: (error: CallError | undefined, topic: TopicView | undefined) => void,
  ): void {
    const topic = this.known(request);
    if (topic !== undefined) {
      done(undefined, topic);
      return;
    }
    checkedName('topic', request.topic);
    this.catchUp(call, (error) => {
      if (error !== undefined) {
        done(error, undefined);
        return;
      }
      const found = this.#host.meta().topic(request.topic);
      const wrong = found === undefined ? topicNotFound(request.topic) : misfit(found, request);
      done(wrong, found);
    });
  }

  /** Until this node has applied what the metadata shard had committed when we asked. */
  catchUp(call: Call, done: (error: CallError | undefined) => void): void {
    const routed = { method: this.#readIndex, target: shardTarget(0), body: NO_BYTES };
    this.#router.route(call, routed, (error, answer) => {
      if (error !== undefined) {
        done(error);
        return;
      }
      const { index } = decodeJson<{ index: number }>(answer!);
      this.#waits.wait(call, (appliedIndex) => appliedIndex >= index, done);
    });
  }
}

function misfit(topic: TopicView, request: TopicRequest): CallError | undefined {
  if (request.topicId !== '' && request.topicId !== topic.topicId) {
    return new CallError(
      'TOPIC_RECREATED',
      `topic ${topic.name} has topic_id ${topic.topicId}, not ${request.topicId}: it was ` +
        'deleted and created again. Ask DescribeTopic and begin anew',
      { metadata: { 'topic-id': topic.topicId } },
    );
  }
  if (request.queueEpoch >= 0 && request.queueEpoch !== topic.queueEpoch) {
    return new CallError(
      'QUEUES_CHANGED',
      `queue_epoch ${request.queueEpoch} is stale: topic ${topic.name} has ` +
        `${topic.queues.length} queues at epoch ${topic.queueEpoch}`,
      { metadata: { 'queue-epoch': String(topic.queueEpoch) } },
    );
  }
  if (topic.queues.length === 0) return queueNotOpen();
  if (request.queue >= topic.queues.length) {
    return new CallError(
      'QUEUE_NOT_FOUND',
      `topic ${topic.name} has no queue ${request.queue}: its queues are 0 to ` +
        `${topic.queues.length - 1}`,
      { metadata: { 'queue-count': String(topic.queues.length) } },
    );
  }
  return undefined;
}

/** A queue that `find` was asked for, so that it is there. */
export function queueOf(topic: TopicView, queue: number): TopicQueue {
  return topic.queues[queue]!;
}
