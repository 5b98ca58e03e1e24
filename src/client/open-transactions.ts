import { type Calls, plan } from './calls.ts';
import { int, list } from './convert.ts';
import type { Proto, WireObject } from './proto.ts';
import { type EndResult, readEndResult, stateOf } from './transactions.ts';
import type { CallOptions } from './types.ts';

/** A transaction without an outcome, as an operator sees it. */
export interface OpenTransaction {
  readonly transactionId: string;
  readonly callerTransactionId: string;
  readonly producerGroup: string;
  /** `preparing`: not all of its parts are stored yet. */
  readonly state: 'preparing' | 'undecided' | 'parked';
  readonly preparedAtMs: number;
  readonly ageMs: number;
  /** Checks that reached a producer and brought no decision. */
  readonly checkCount: number;
  /** After so many it is parked. */
  readonly maxChecks: number;
  /** When it is asked about, or parked; 0 = it is parked. */
  readonly nextCheckAtMs: number;
  readonly parts: readonly {
    readonly topic: string;
    readonly queue: number;
    readonly firstMessageId: string;
    readonly count: number;
  }[];
}

export interface OpenTransactionsQuery {
  /** Default: both. */
  readonly state?: 'undecided' | 'parked' | undefined;
  readonly producerGroup?: string | undefined;
  readonly topic?: string | undefined;
  /** 1 to 1,000. Default: 100. */
  readonly pageSize?: number | undefined;
  readonly pageToken?: string | undefined;
}

export interface OpenTransactionsPage {
  readonly transactions: readonly OpenTransaction[];
  /** '' = that was all. */
  readonly nextPageToken: string;
}

const WIRE_STATES = { undecided: 'UNDECIDED', parked: 'PARKED' } as const;

/** Half messages of all producer groups, for operators: look, resume, decide. */
export class OpenTransactions {
  readonly #calls: Calls;
  readonly #proto: Proto;

  constructor(calls: Calls, proto: Proto) {
    this.#calls = calls;
    this.#proto = proto;
  }

  /** One page of what has no outcome; in each shard the oldest first. */
  async page(
    query: OpenTransactionsQuery = {},
    options?: CallOptions,
  ): Promise<OpenTransactionsPage> {
    const { state, producerGroup = '', topic = '', pageSize = 0, pageToken = '' } = query;
    const request = {
      ...(state === undefined ? {} : { state: WIRE_STATES[state] }),
      ...{ producer_group: producerGroup, topic, page_size: pageSize, page_token: pageToken },
    };
    const method = this.#proto.method('Transactions', 'List');
    const answer = await this.#calls.unary(method, request, plan('read', options, true));
    return {
      transactions: list(answer.transactions).map(readOpen),
      nextPageToken: String(answer.next_page_token),
    };
  }

  /** All of them, page by page. */
  async *list(
    query: Omit<OpenTransactionsQuery, 'pageToken'> = {},
    options?: CallOptions,
  ): AsyncGenerator<OpenTransaction> {
    for (let pageToken: string | undefined; pageToken !== ''; ) {
      const page = await this.page({ ...query, pageToken }, options);
      yield* page.transactions;
      pageToken = page.nextPageToken;
    }
  }

  /** Its producer group is asked again, at once, from the first check on. */
  async resume(transactionId: string, options?: CallOptions): Promise<void> {
    const method = this.#proto.method('Transactions', 'Resume');
    const request = { transaction_id: transactionId };
    await this.#calls.unary(method, request, plan('idempotent', options, true));
  }

  commit(transactionId: string, options?: CallOptions): Promise<EndResult> {
    return this.#end(transactionId, 'COMMIT', options);
  }

  rollback(transactionId: string, options?: CallOptions): Promise<EndResult> {
    return this.#end(transactionId, 'ROLLBACK', options);
  }

  async #end(
    transactionId: string,
    decision: 'COMMIT' | 'ROLLBACK',
    options?: CallOptions,
  ): Promise<EndResult> {
    const method = this.#proto.method('Transactions', 'End');
    const request = { transaction_id: transactionId, decision, operator: true };
    return readEndResult(
      await this.#calls.unary(method, request, plan('idempotent', options, true)),
    );
  }
}

function openStateOf(state: unknown): OpenTransaction['state'] {
  const known = stateOf(state);
  return known === 'preparing' || known === 'parked' ? known : 'undecided';
}

function readOpen(from: WireObject): OpenTransaction {
  return {
    transactionId: String(from.transaction_id),
    callerTransactionId: String(from.caller_transaction_id),
    producerGroup: String(from.producer_group),
    state: openStateOf(from.state),
    preparedAtMs: int(from.prepared_at_ms),
    ageMs: int(from.age_ms),
    checkCount: int(from.check_count),
    maxChecks: int(from.max_checks),
    nextCheckAtMs: int(from.next_check_at_ms),
    parts: list(from.parts).map((part) => ({
      topic: String(part.topic),
      queue: int(part.queue),
      firstMessageId: String(part.first_message_id),
      count: int(part.count),
    })),
  };
}
