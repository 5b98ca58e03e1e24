import { Access } from './access.ts';
import { Admin } from './admin.ts';
import { Calls, plan } from './calls.ts';
import { Consumer, type ConsumerHost, type ConsumerOptions } from './consumer.ts';
import { DeadLetters } from './dead-letters.ts';
import { Deliveries } from './deliveries.ts';
import { Fetcher, type FetchOptions, type FetchResult } from './fetcher.ts';
import { Groups } from './groups.ts';
import { OpenTransactions } from './open-transactions.ts';
import { produceStreams } from './produce-stream.ts';
import { Producer, type ProducerHost } from './producer.ts';
import type { ProducerOptions } from './producer-options.ts';
import { Proto } from './proto.ts';
import { Quotas } from './quotas.ts';
import { type DeliveryHandler, Receiver, type ReceiverOptions } from './receiver.ts';
import { parseServers, Servers } from './servers.ts';
import { subscriptions } from './subscription.ts';
import type { TlsOptions } from './tls.ts';
import type { TokenSource } from './token.ts';
import { Transactions } from './transactions.ts';
import type { CallOptions } from './types.ts';

export interface ConnectOptions {
  /** `host:port` of one or more nodes; several in a list or separated by commas. */
  readonly servers: string | readonly string[];
  /** Encrypts, and checks that the servers are who they should be; without it nothing is. */
  readonly tls?: TlsOptions | undefined;
  /**
   * Says who calls, where the cluster asks: a token, or a function that gives one, which is asked
   * before each call and stream. Without TLS it goes to this machine only.
   */
  readonly token?: TokenSource | undefined;
}

export const DEFAULT_SERVERS = 'localhost:7401';

/**
 * A cluster, as a client sees it. Connections are made when they are needed; whatever was opened
 * from here is closed with it.
 */
export class Holdfast implements AsyncDisposable {
  readonly admin: Admin;
  /** Who may do what. */
  readonly access: Access;
  /** How much they may ask for. */
  readonly quotas: Quotas;
  /** Half messages of all producer groups without an outcome: for operators. */
  readonly openTransactions: OpenTransactions;
  readonly groups: Groups;
  readonly deliveries: Deliveries;
  readonly deadLetters: DeadLetters;
  readonly #proto = new Proto();
  readonly #servers: Servers;
  readonly #calls: Calls;
  readonly #fetcher: Fetcher;
  readonly #producerHost: ProducerHost;
  readonly #consumerHost: ConsumerHost;
  readonly #open = new Set<Producer | Consumer | Receiver>();
  #closing: Promise<void> | undefined;

  constructor(options: ConnectOptions) {
    const { servers, tls, token } = options;
    this.#servers = new Servers(parseServers(servers), Math.random, Date.now, tls, token);
    this.#calls = new Calls(this.#servers);
    this.admin = new Admin(this.#calls, this.#proto);
    this.access = new Access(this.#calls, this.#proto);
    this.quotas = new Quotas(this.#calls, this.#proto);
    this.openTransactions = new OpenTransactions(this.#calls, this.#proto);
    this.groups = new Groups(this.#calls, this.#proto);
    this.deliveries = new Deliveries(this.#calls, this.#proto);
    this.deadLetters = new DeadLetters(this.#calls, this.#proto);
    this.#fetcher = new Fetcher(this.#calls, this.#proto);
    const shared = {
      admin: this.admin,
      servers: this.#servers,
      closed: (one: Producer | Consumer) => void this.#open.delete(one),
    };
    const produce = this.#proto.rawMethod('Log', 'ProduceStream');
    const subscribe = this.#proto.method('Log', 'Subscribe');
    this.#producerHost = { ...shared, openStream: produceStreams(produce) };
    const { groups } = this;
    this.#consumerHost = { ...shared, groups, openSubscription: subscriptions(subscribe) };
  }

  /** Sends to one topic. */
  producer(options: ProducerOptions): Producer {
    const producer = new Producer(options, this.#producerHost);
    this.#open.add(producer);
    return producer;
  }

  /** Reads one topic; starts when the first message is asked for. */
  consumer(options: ConsumerOptions): Consumer {
    const consumer = new Consumer(options, this.#consumerHost);
    this.#open.add(consumer);
    return consumer;
  }

  /**
   * Consumes one topic message by message: each is leased, handed to `handler`, and acknowledged
   * when that is done with it. Begins at once.
   */
  receiver(options: ReceiverOptions, handler: DeliveryHandler): Receiver {
    const closed = (one: Receiver) => void this.#open.delete(one);
    const receiver = new Receiver(options, handler, { deliveries: this.deliveries, closed });
    this.#open.add(receiver);
    return receiver;
  }

  /** The half messages of one producer group. */
  transactions(group: string): Transactions {
    return new Transactions(group, this.#calls, this.#proto, this.admin);
  }

  /**
   * Takes delayed messages back: all that were acknowledged under this first message id. Resolves
   * with their number; rejects with NOT_DELAYED when it is too late.
   */
  async recall(messageId: string, options?: CallOptions): Promise<number> {
    const method = this.#proto.method('Log', 'Recall');
    const request = { message_id: messageId };
    const answer = await this.#calls.unary(method, request, plan('once', options, true));
    return (answer as { readonly count: number }).count;
  }

  /** Reads one queue once, from an offset; waits at its end when asked to. */
  fetch(query: FetchOptions, options?: CallOptions): Promise<FetchResult> {
    return this.#fetcher.fetch(query, options);
  }

  /** Waits for what producers have sent, then closes everything. */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #close(): Promise<void> {
    await Promise.all([...this.#open].map((one) => one.close()));
    this.#servers.close();
  }
}

export function connect(options: ConnectOptions = { servers: DEFAULT_SERVERS }): Holdfast {
  return new Holdfast(options);
}
