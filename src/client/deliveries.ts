import type { Calls } from './calls.ts';
import { filterField, filterIn, int, list, messageContent } from './convert.ts';
import type { Proto, WireObject } from './proto.ts';
import { ServiceCalls } from './service-calls.ts';
import type { CallOptions, Filter, Message } from './types.ts';

/** A message that is leased to the caller. */
export interface Delivery extends Message {
  /** Leases of this message so far, this one included: 1 to 16. */
  readonly attempt: number;
  /** What ack, nack and extend take. */
  readonly token: string;
  /** From then on, by the clocks of the cluster, another consumer may be given it. */
  readonly leaseUntilMs: number;
  /** Rises with every lease of a message: store it beside what you write. */
  readonly fencingToken: number;
}

export interface ReceiveOptions {
  readonly group: string;
  readonly topic: string;
  /** 1 to 256. Default 16. */
  readonly maxMessages?: number | undefined;
  /** 1,000 to 43,200,000 (12 h). Default 30,000. */
  readonly leaseMs?: number | undefined;
  /** How long to wait for a first message; at most 30,000. Default 0: not at all. */
  readonly maxWaitMs?: number | undefined;
  /** A key's messages one after the other. Settled when the group subscribes. */
  readonly fifo?: boolean | undefined;
  /** Where the group begins; looked at when it subscribes. Default: earliest. */
  readonly from?: 'earliest' | 'latest' | undefined;
  /** Shown in lists, at most 64 bytes. */
  readonly consumer?: string | undefined;
  /**
   * The group gets only these messages; the others are passed over for good, as if acknowledged.
   * Settled when the group subscribes.
   */
  readonly filter?: Filter | undefined;
}

/** One topic of one group. */
export interface SubscriptionName {
  readonly group: string;
  readonly topic: string;
}

export interface Nack {
  readonly token: string;
  /** When it comes again, at most 43,200,000. Default: by the level of its attempt, 10 s to 1 h. */
  readonly delayMs?: number | undefined;
}

const STATUSES = [
  'SETTLED',
  'STALE_TOKEN',
  'NOT_LEASED',
  'DECIDED',
  'DEAD',
  'OUTCOME_OPEN',
] as const;

/** What became of one token; deliveries.proto says what each means. */
export type SettleStatus = (typeof STATUSES)[number];

export interface SettleResult {
  readonly token: string;
  readonly status: SettleStatus;
  /** After a nack: when it comes again. After an extension: when the lease ends. */
  readonly dueAtMs: number | undefined;
  /** After the nack of its last attempt. */
  readonly deadLetter: boolean;
  /** Of OUTCOME_OPEN. */
  readonly reason: string;
}

export interface DeliverySubscription extends SubscriptionName {
  readonly fifo: boolean;
  readonly filter: Filter | undefined;
  /** Messages that were never given to the group. */
  readonly lag: number;
  /** Given, and not decided yet. */
  readonly pending: number;
  /** Of the pending ones: leased, or with a lease that ran out. */
  readonly leased: number;
  readonly dead: number;
}

export interface SubscribedQueue {
  readonly queue: number;
  /** The next message that was never given. */
  readonly cursor: number;
  readonly startOffset: number;
  readonly endOffset: number;
  readonly lag: number;
  readonly pending: number;
  readonly leased: number;
  readonly dead: number;
  /** How often a dead letter found no room, and waited two hours. */
  readonly deadRefused: number;
}

export interface SeekSubscription extends SubscriptionName {
  /** Default: all. Exactly one where `to` is an offset. */
  readonly queues?: readonly number[] | undefined;
  readonly to: 'earliest' | 'latest' | Date | number;
}

/** Topics consumed message by message. A receiver does the first four by itself. */
export class Deliveries {
  readonly #service: ServiceCalls;

  constructor(calls: Calls, proto: Proto) {
    this.#service = new ServiceCalls(calls, proto, 'Deliveries');
  }

  /** Leases messages; the first call of a group subscribes it to the topic. */
  async receive(receive: ReceiveOptions, options?: CallOptions): Promise<Delivery[]> {
    const { group, topic, maxMessages = 0, leaseMs = 0, maxWaitMs = 0 } = receive;
    const { fifo = false, from = 'earliest', consumer = '' } = receive;
    const much = { max_messages: maxMessages, lease_ms: leaseMs, max_wait_ms: maxWaitMs };
    const filter = filterField(receive.filter);
    const how = { fifo, from: from.toUpperCase(), consumer, ...filter };
    const answer = await this.#service.call(
      'Receive',
      { group, topic, ...much, ...how },
      'read',
      options,
    );
    return list(answer.deliveries).map((delivery) => deliveryIn(topic, delivery));
  }

  /** Done with these. One result per token, in their order. */
  ack(
    name: SubscriptionName,
    tokens: readonly string[],
    options?: CallOptions,
  ): Promise<SettleResult[]> {
    return this.#settle('Ack', name, tokens, { tokens }, options);
  }

  /** Not now: they come again, and are dead letters after their last attempt. */
  nack(
    name: SubscriptionName,
    nacks: readonly Nack[],
    options?: CallOptions,
  ): Promise<SettleResult[]> {
    const items = nacks.map(({ token, delayMs }) =>
      delayMs === undefined ? { token } : { token, delay_ms: delayMs },
    );
    const tokens = nacks.map(({ token }) => token);
    return this.#settle('Nack', name, tokens, { items }, options);
  }

  /** Their leases end `extendMs` from now. */
  extend(
    name: SubscriptionName,
    tokens: readonly string[],
    extendMs: number,
    options?: CallOptions,
  ): Promise<SettleResult[]> {
    return this.#settle('Extend', name, tokens, { tokens, extend_ms: extendMs }, options);
  }

  /** All subscriptions, or those of one group. */
  async *subscriptions(group = '', options?: CallOptions): AsyncGenerator<DeliverySubscription> {
    for await (const page of this.#service.pages('ListSubscriptions', { group }, options)) {
      yield* list(page.subscriptions).map(subscriptionIn);
    }
  }

  async describe(
    { group, topic }: SubscriptionName,
    options?: CallOptions,
  ): Promise<{ summary: DeliverySubscription; queues: readonly SubscribedQueue[] }> {
    const answer = await this.#service.call(
      'DescribeSubscription',
      { group, topic },
      'read',
      options,
    );
    const summary = subscriptionIn(answer.summary as WireObject);
    return { summary, queues: list(answer.queues).map(subscribedQueueIn) };
  }

  /** Moves where the group goes on; what it has pending in these queues is forgotten. */
  async seek(
    { group, topic, queues = [], to }: SeekSubscription,
    options?: CallOptions,
  ): Promise<{ queue: number; cursor: number }[]> {
    const request = { group, topic, queues, ...seekTarget(to) };
    const answer = await this.#service.call('SeekSubscription', request, 'idempotent', options);
    return list(answer.queues).map(({ queue, cursor }) => ({
      queue: int(queue),
      cursor: int(cursor),
    }));
  }

  /** Ends the subscription: what is pending is forgotten, dead letters are purged. */
  async unsubscribe({ group, topic }: SubscriptionName, options?: CallOptions): Promise<void> {
    await this.#service.call('DeleteSubscription', { group, topic }, 'once', options);
  }

  async #settle(
    call: 'Ack' | 'Nack' | 'Extend',
    { group, topic }: SubscriptionName,
    tokens: readonly string[],
    fields: WireObject,
    options: CallOptions | undefined,
  ): Promise<SettleResult[]> {
    // Repeated, it tells by its status that nothing is left to do.
    const answer = await this.#service.call(
      call,
      { group, topic, ...fields },
      'idempotent',
      options,
    );
    return list(answer.results).map((result, at) => settleResultIn(tokens[at]!, result));
  }
}

function deliveryIn(topic: string, from: WireObject): Delivery {
  const [message] = list(from.messages);
  return {
    topic,
    queue: int(from.queue),
    offset: int(from.offset),
    ...messageContent(message ?? {}),
    storedAtMs: int(from.stored_at_ms),
    messageId: String(from.message_id),
    attempt: int(from.attempt),
    token: String(from.token),
    leaseUntilMs: int(from.lease_until_ms),
    fencingToken: int(from.fencing_token),
  };
}

function settleResultIn(token: string, from: WireObject): SettleResult {
  const dueAtMs = int(from.due_at_ms);
  return {
    token,
    // What a later server may say is nothing to rely on.
    status: STATUSES.find((status) => status === from.status) ?? 'OUTCOME_OPEN',
    dueAtMs: dueAtMs === 0 ? undefined : dueAtMs,
    deadLetter: from.dead_letter === true,
    reason: String(from.reason),
  };
}

function subscriptionIn(from: WireObject): DeliverySubscription {
  return {
    group: String(from.group),
    topic: String(from.topic),
    fifo: from.fifo === true,
    filter: filterIn(from.filter),
    lag: int(from.lag),
    pending: int(from.pending),
    leased: int(from.leased),
    dead: int(from.dead),
  };
}

function subscribedQueueIn(from: WireObject): SubscribedQueue {
  return {
    queue: int(from.queue),
    cursor: int(from.cursor),
    startOffset: int(from.start_offset),
    endOffset: int(from.end_offset),
    lag: int(from.lag),
    pending: int(from.pending),
    leased: int(from.leased),
    dead: int(from.dead),
    deadRefused: int(from.dead_refused),
  };
}

function seekTarget(to: SeekSubscription['to']): WireObject {
  if (to === 'earliest') return { from: 'EARLIEST' };
  if (to === 'latest') return { from: 'LATEST' };
  if (to instanceof Date) return { at_ms: String(to.getTime()) };
  return { offset: String(to) };
}
