/** The Deliveries service of one node, put together. */
import type { TopicView } from '../../cluster/api.ts';
import { toCallError } from '../../status.ts';
import type { Call, Done } from '../call.ts';
import { authorise } from '../cold.ts';
import { NO_DELIVERIES, refuseCompacted } from '../compaction.ts';
import type { ExecutorParts } from '../executor-parts.ts';
import type { ShardMethod } from '../methods.ts';
import type { OffsetCalls } from '../offsets.ts';
import { decodeRequest, type ProtoMethod } from '../proto.ts';
import { DeadLetterCalls } from './dead-letter-calls.ts';
import { LeaseMethod } from './leases.ts';
import { Picks } from './picks.ts';
import { Receiving } from './receive.ts';
import {
  checkedReceive,
  LATEST,
  type LeaseQuestion,
  RECEIVE_PATH,
  type ReceiveRequest,
  topicRequest,
} from './requests.ts';
import { SettleCalls } from './settle.ts';
import { createShardQuestions } from './shard-questions.ts';
import { Subscriber } from './subscribe.ts';
import { SubscriptionCalls } from './subscription-calls.ts';
import { DeliveryWaits } from './waits.ts';

interface Asked {
  readonly request: ReceiveRequest;
  readonly question: Omit<LeaseQuestion, 'queues'>;
  readonly topic: TopicView;
  readonly endsAtMs: number;
}

export class DeliveryCalls {
  readonly settle: SettleCalls;
  readonly subscriptions: SubscriptionCalls;
  readonly deadLetters: DeadLetterCalls;
  readonly methods: readonly ShardMethod[];
  readonly waits: DeliveryWaits;
  readonly #parts: ExecutorParts;
  readonly #nowMs: () => number;
  readonly #leases: LeaseMethod;
  readonly #receive: ProtoMethod;
  readonly #subscriber: Subscriber;
  #turn = 0;

  constructor(parts: ExecutorParts, offsets: OffsetCalls, nowMs: () => number) {
    const { config, host, proto } = parts;
    this.#parts = parts;
    this.#nowMs = nowMs;
    const picks = new Picks(() => this.waits.wakeAll());
    this.#leases = new LeaseMethod(host, picks, config.defaultFetchBytes);
    this.waits = new DeliveryWaits(host, this.#leases, config.maxLongPolls);
    const questions = createShardQuestions(host);
    this.#subscriber = new Subscriber(parts, questions);
    this.settle = new SettleCalls(parts);
    this.subscriptions = new SubscriptionCalls(parts, questions, offsets);
    this.deadLetters = new DeadLetterCalls(parts, questions);
    this.methods = [this.#leases.method, this.waits.method, ...Object.values(questions)];
    this.#receive = proto.method(RECEIVE_PATH);
  }

  /** A unary Receive of a client. */
  receive(call: Call, bytes: Uint8Array, done: Done): void {
    const request = decodeRequest<ReceiveRequest>(this.#receive, bytes);
    authorise(call, RECEIVE_PATH, request);
    const question = checkedReceive(request);
    const wanted = topicRequest(request.topic, request.topic_id);
    const endsAtMs = this.#nowMs() + request.max_wait_ms;
    this.#parts.topics.find(call, wanted, (error, topic) => {
      const refused = error ?? refuseCompacted(topic!, NO_DELIVERIES);
      if (refused !== undefined) done(refused, undefined);
      else this.#subscribed(call, { request, question, topic: topic!, endsAtMs }, done);
    });
  }

  /** Where this node does not know that the group is subscribed, it sees to it first. */
  #subscribed(call: Call, asked: Asked, done: Done): void {
    const { question, request, topic } = asked;
    const { fifo, filter, group } = question;
    const wanted = { group, fifo, filter, isFromEnd: request.from === LATEST };
    if (this.#subscriber.isKnown(topic, wanted)) {
      this.#begin(call, asked, this.#orAgain(call, asked, done));
      return;
    }
    this.#subscriber.subscribe(call, topic, wanted).then(
      () => {
        if (!call.finished) this.#begin(call, asked, this.#orAgain(call, asked, done));
      },
      (error: unknown) => done(toCallError(error), undefined),
    );
  }

  /** A queue was not subscribed in time, or is no longer: this Receive sees to it. */
  #orAgain(call: Call, asked: Asked, done: Done): Done {
    return (error, answer) => {
      if (error?.reason !== 'SUBSCRIPTION_NOT_FOUND') {
        done(error, answer);
        return;
      }
      this.#subscriber.forget(asked.topic, asked.question.group);
      this.#subscribed(call, asked, done);
    };
  }

  #begin(call: Call, { endsAtMs, question, topic }: Asked, done: Done): void {
    const { longPollMarginMs, maxWaitMs } = this.#parts.config;
    const leftMs = Math.min(endsAtMs - this.#nowMs(), call.remainingMs - longPollMarginMs);
    const waitMs = Math.max(0, Math.min(Math.floor(leftMs), maxWaitMs));
    const { router } = this.#parts;
    const methods = { lease: this.#leases.method, wait: this.waits.method };
    this.#turn += 1;
    const receive = { topic, question, waitMs, turn: this.#turn };
    new Receiving({ router, nowMs: this.#nowMs }, methods, call, receive, done).start();
  }
}
