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

/** `parked`: undecided; nobody is asked any more until an operator resumes or ends it. */
export type TransactionState = 'undecided' | 'parked' | 'committed' | 'rolledBack';

export interface PrepareOptions {
  readonly topic: string;
  readonly messages: readonly OutgoingMessage[];
  /** Default: by `orderingKey`, else any. */
  readonly queue?: number | undefined;
  readonly orderingKey?: string | undefined;
  /** At most 64 characters, unique in the producer group. Default: random. */
  readonly transactionId?: string | undefined;
}

/** How a transaction ended, or did not yet. */
export interface EndResult {
  readonly state: TransactionState;
  /** Where the messages became visible. */
  readonly parts: readonly { queue: number; baseOffset: number; count: number }[];
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
  readonly topic: string;
  readonly queue: number;
  readonly count: number;
  readonly firstMessageId: string;
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
  async prepare(prepare: PrepareOptions, options?: CallOptions): Promise<Transaction> {
    const callerId = prepare.transactionId ?? randomBytes(12).toString('hex');
    const callPlan = plan('idempotent', options);
    try {
      return await this.#prepare(prepare, callerId, await this.#topic(prepare.topic), callPlan);
    } catch (error) {
      const changed = error instanceof HoldfastError && error.reason === 'QUEUES_CHANGED';
      const stale = error instanceof HoldfastError && error.reason === 'TOPIC_RECREATED';
      this.#topics.delete(prepare.topic);
      if (!(changed || stale) || error.outcomeUnknown) throw error;
      return await this.#prepare(prepare, callerId, await this.#topic(prepare.topic), callPlan);
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
    prepare: PrepareOptions,
    callerId: string,
    topic: Topic,
    callPlan: CallPlan,
  ): Promise<Transaction> {
    const request = {
      producer_group: this.group,
      transaction_id: callerId,
      parts: [halfBatch(prepare, topic)],
    };
    const method = this.#proto.method('Transactions', 'Prepare');
    const answer = await this.#calls.unary(method, request, callPlan);
    return this.#transaction(prepare.topic, callerId, answer);
  }

  #transaction(topic: string, callerTransactionId: string, answer: WireObject): Transaction {
    const part = list(answer.parts)[0] ?? {};
    const transactionId = String(answer.transaction_id);
    const queue = int(part.queue);
    const target = { transactionId, topic, queue };
    return {
      transactionId,
      callerTransactionId,
      topic,
      queue,
      count: int(part.count),
      firstMessageId: String(part.first_message_id ?? ''),
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

/** The answer to End. */
export function readEndResult(answer: WireObject): EndResult {
  const parts = list(answer.parts).map((part) => ({
    queue: int(part.queue),
    baseOffset: int(part.base_offset),
    count: int(part.count),
  }));
  return { state: stateOf(answer.state), parts };
}

export function stateOf(state: unknown): TransactionState {
  return STATES[String(state)] ?? 'undecided';
}

function halfBatch(prepare: PrepareOptions, topic: Topic): WireObject {
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
