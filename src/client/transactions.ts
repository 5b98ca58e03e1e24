import { randomBytes } from 'node:crypto';
import type { Admin } from './admin.ts';
import { type CallPlan, type Calls, plan } from './calls.ts';
import { CheckLoop, type CheckLoopOptions } from './check-loop.ts';
import { durability, int, list } from './convert.ts';
import { HoldfastError } from './errors.ts';
import { queueOfKey } from './hash.ts';
import type { Proto, WireObject } from './proto.ts';
import type { CallOptions, Durability, OutgoingMessage, Topic } from './types.ts';

export type Decision = 'commit' | 'rollback' | 'unknown';

/**
 * `preparing`: not all of its parts are stored yet. `parked`: undecided; nobody is asked any more
 * until an operator resumes or ends it.
 */
export type TransactionState = 'preparing' | 'undecided' | 'parked' | 'committed' | 'rolledBack';

export interface PrepareOptions {
  readonly topic: string;
  readonly messages: readonly OutgoingMessage[];
  /** Default: by `orderingKey`, else any. */
  readonly queue?: number | undefined;
  readonly orderingKey?: string | undefined;
  /** At most 64 characters, unique in the producer group. Default: random. */
  readonly transactionId?: string | undefined;
}

/** Of several queues, and with offsets of a group: all committed, or all rolled back. */
export interface PrepareManyOptions {
  /** One per queue; at least one. */
  readonly parts: readonly Omit<PrepareOptions, 'transactionId'>[];
  /** Committed with the messages: consume, process, produce. */
  readonly offsets?: TransactionOffsets | undefined;
  /** At most 64 characters, unique in the producer group. Default: random. */
  readonly transactionId?: string | undefined;
}

/** How far one group read one topic for this transaction. */
export interface TransactionOffsets {
  readonly group: string;
  readonly topic: string;
  readonly offsets: readonly {
    readonly queue: number;
    /** The committed offset when the work began; absent = the group had committed none. */
    readonly from?: number | undefined;
    /** The next offset to read from now on. */
    readonly offset: number;
  }[];
}

/** How a transaction ended, or did not yet. */
export interface EndResult {
  readonly state: TransactionState;
  /** Where the messages became visible. */
  readonly parts: readonly { topic: string; queue: number; baseOffset: number; count: number }[];
}

/** Where half messages of one queue are stored. */
export interface PreparedPart {
  readonly topic: string;
  readonly queue: number;
  readonly count: number;
  readonly firstMessageId: string;
}

export interface EndTarget {
  /** As Prepare or a check gave it; or the caller's own id, then with topic and queue. */
  readonly transactionId: string;
  readonly topic?: string | undefined;
  readonly queue?: number | undefined;
}

/** Asked about a transaction that its producer never decided: decides now, or not yet. */
export type CheckHandler = (check: Check) => Decision | Promise<Decision>;

export interface Check {
  readonly transactionId: string;
  readonly callerTransactionId: string;
  /** How many checks were delivered so far, this one included. */
  readonly checkCount: number;
  readonly preparedAtMs: number;
  readonly parts: readonly CheckPart[];
}

export interface CheckPart {
  readonly topic: string;
  readonly queue: number;
  readonly firstMessageId: string;
  readonly messages: readonly {
    readonly key: string;
    readonly tag: string;
    readonly properties: Readonly<Record<string, string>>;
    readonly body: Buffer;
    readonly bornAtMs: number;
  }[];
}

/** A prepared transaction: its messages are stored, and nobody sees them until `commit`. */
export interface Transaction {
  readonly transactionId: string;
  readonly callerTransactionId: string;
  /** Of the first part. */
  readonly topic: string;
  readonly queue: number;
  readonly count: number;
  readonly firstMessageId: string;
  /** One per queue. */
  readonly parts: readonly PreparedPart[];
  readonly term: number;
  readonly logIndex: number;
  readonly durability: Durability;
  /** When the first check is due if no decision comes. */
  readonly firstCheckAtMs: number;
  readonly duplicate: boolean;
  commit(options?: CallOptions): Promise<EndResult>;
  rollback(options?: CallOptions): Promise<EndResult>;
  /** Not known yet: the check-back will ask. */
  unknown(options?: CallOptions): Promise<EndResult>;
}

const DECISIONS = { commit: 'COMMIT', rollback: 'ROLLBACK', unknown: 'UNKNOWN' } as const;
const STATES: Readonly<Record<string, TransactionState>> = {
  PREPARING: 'preparing',
  PARKED: 'parked',
  COMMITTED: 'committed',
  ROLLED_BACK: 'rolledBack',
};

/** The half messages of one producer group. */
export class Transactions {
  readonly group: string;
  readonly #calls: Calls;
  readonly #proto: Proto;
  readonly #admin: Admin;
  /** As described when last needed; one entry per topic that this group prepares for. */
  readonly #topics = new Map<string, Topic>();

  constructor(group: string, calls: Calls, proto: Proto, admin: Admin) {
    this.group = group;
    this.#calls = calls;
    this.#proto = proto;
    this.#admin = admin;
  }

  /** Stores the messages invisibly. Safe to retry: the transaction id makes it happen once. */
  prepare(prepare: PrepareOptions, options?: CallOptions): Promise<Transaction> {
    const { transactionId, ...part } = prepare;
    return this.prepareMany({ parts: [part], transactionId }, options);
  }

  /**
   * As `prepare`, for several queues of any topics, and with the offsets of a group. Rejects with
   * TRANSACTION_NOT_PREPARED when a part was refused: then nothing is left of any of them.
   */
  async prepareMany(prepare: PrepareManyOptions, options?: CallOptions): Promise<Transaction> {
    const callerId = prepare.transactionId ?? randomBytes(12).toString('hex');
    const callPlan = plan('idempotent', options);
    try {
      return await this.#prepare(prepare, callerId, callPlan);
    } catch (error) {
      const changed = error instanceof HoldfastError && error.reason === 'QUEUES_CHANGED';
      const stale = error instanceof HoldfastError && error.reason === 'TOPIC_RECREATED';
      for (const { topic } of prepare.parts) this.#topics.delete(topic);
      if (!(changed || stale) || error.outcomeUnknown) throw error;
      return await this.#prepare(prepare, callerId, callPlan);
    }
  }

  async end(target: EndTarget, decision: Decision, options?: CallOptions): Promise<EndResult> {
    const { transactionId, topic = '', queue } = target;
    const request = {
      producer_group: this.group,
      transaction_id: transactionId,
      decision: DECISIONS[decision],
      topic,
      ...(queue === undefined ? {} : { queue }),
    };
    const method = this.#proto.method('Transactions', 'End');
    const answer = await this.#calls.unary(method, request, plan('idempotent', options));
    return readEndResult(answer);
  }

  /** Answers check-backs until it is closed. */
  checks(handler: CheckHandler, options: CheckLoopOptions = {}): CheckLoop {
    return new CheckLoop(handler, options, {
      group: this.group,
      calls: this.#calls,
      method: this.#proto.method('Transactions', 'PollChecks'),
      end: (target, decision) => this.end(target, decision),
    });
  }

  async #topic(name: string): Promise<Topic> {
    const known = this.#topics.get(name);
    if (known !== undefined) return known;
    const { topic } = await this.#admin.describeTopic(name);
    this.#topics.set(name, topic);
    return topic;
  }

  async #prepare(
    { parts, offsets }: PrepareManyOptions,
    callerId: string,
    callPlan: CallPlan,
  ): Promise<Transaction> {
    const batches = await Promise.all(
      parts.map(async (part) => halfBatch(part, await this.#topic(part.topic))),
    );
    const request = {
      producer_group: this.group,
      transaction_id: callerId,
      parts: batches,
      ...(offsets === undefined ? {} : { offsets: [offsetsOut(offsets)] }),
    };
    const method = this.#proto.method('Transactions', 'Prepare');
    const answer = await this.#calls.unary(method, request, callPlan);
    const topics = parts.map(({ topic }) => topic);
    return this.#transaction(topics, callerId, answer);
  }

  #transaction(
    topics: readonly string[],
    callerTransactionId: string,
    answer: WireObject,
  ): Transaction {
    const acks = list(answer.parts);
    const parts = acks.map((ack, at) => readPrepared(topics[at]!, ack));
    const part = acks[0] ?? {};
    const first = readPrepared(topics[0]!, part);
    const transactionId = String(answer.transaction_id);
    const target = { transactionId, topic: first.topic, queue: first.queue };
    return {
      transactionId,
      callerTransactionId,
      ...first,
      parts,
      term: int(part.term),
      logIndex: int(part.log_index),
      durability: durability(part.durability),
      firstCheckAtMs: int(answer.first_check_at_ms),
      duplicate: answer.duplicate === true,
      commit: (options) => this.end(target, 'commit', options),
      rollback: (options) => this.end(target, 'rollback', options),
      unknown: (options) => this.end(target, 'unknown', options),
    };
  }
}

function readPrepared(topic: string, ack: WireObject): PreparedPart {
  return {
    topic,
    queue: int(ack.queue),
    count: int(ack.count),
    firstMessageId: String(ack.first_message_id ?? ''),
  };
}

function offsetsOut({ group, topic, offsets }: TransactionOffsets): WireObject {
  return {
    group,
    topic,
    offsets: offsets.map(({ queue, from, offset }) => ({
      queue,
      ...(from === undefined ? {} : { from: String(from) }),
      offset: String(offset),
    })),
  };
}

/** The answer to End. */
export function readEndResult(answer: WireObject): EndResult {
  const parts = list(answer.parts).map((part) => ({
    topic: String(part.topic ?? ''),
    queue: int(part.queue),
    baseOffset: int(part.base_offset),
    count: int(part.count),
  }));
  return { state: stateOf(answer.state), parts };
}

export function stateOf(state: unknown): TransactionState {
  return STATES[String(state)] ?? 'undecided';
}

function halfBatch(prepare: Omit<PrepareOptions, 'transactionId'>, topic: Topic): WireObject {
  const { queue, orderingKey, messages } = prepare;
  const chosen = queue ?? chooseQueue(orderingKey, topic.queueCount);
  return {
    topic: topic.name,
    topic_id: topic.topicId,
    queue: chosen,
    ...(queue === undefined ? { queue_epoch: String(topic.queueEpoch) } : {}),
    messages: messages.map(messageOut),
  };
}

function chooseQueue(orderingKey: string | undefined, queueCount: number): number {
  if (orderingKey !== undefined) return queueOfKey(orderingKey, queueCount);
  return Math.floor(Math.random() * queueCount);
}

function messageOut({ key, tag, properties, body, bornAtMs }: OutgoingMessage): WireObject {
  return {
    key: key ?? '',
    tag: tag ?? '',
    properties: properties ?? {},
    body: typeof body === 'string' ? Buffer.from(body, 'utf8') : (body ?? Buffer.alloc(0)),
    born_at_ms: String(bornAtMs ?? 0),
  };
}
