import { type Calls, plan } from './calls.ts';
import { int, list, messageContent } from './convert.ts';
import { POLL_TIMEOUT_MS, POLL_WAIT_MS, pollLoop } from './poll-loop.ts';
import type { Method, WireObject } from './proto.ts';
import type { Check, CheckHandler, CheckPart, Decision, EndTarget } from './transactions.ts';

export interface CheckLoopOptions {
  /** Checks handled at the same time, 1 to 256. Default 16. */
  readonly maxChecks?: number | undefined;
  /** For how long a check is offered to nobody else. Default: the cluster's check interval. */
  readonly leaseMs?: number | undefined;
  /** Told of a handler that threw and of decisions that could not be delivered. */
  readonly onError?: ((error: unknown, check: Check | undefined) => void) | undefined;
}

export interface CheckLoopHost {
  readonly group: string;
  readonly calls: Calls;
  readonly method: Method;
  end(target: EndTarget, decision: Decision): Promise<unknown>;
}

/**
 * Long-polls for undecided transactions, asks the handler, delivers its decisions. A handler that
 * throws has decided nothing: the check comes again. Fails only on errors that repeating would not
 * cure; `closed` tells.
 */
export class CheckLoop implements AsyncDisposable {
  readonly closed: Promise<void>;
  readonly #handler: CheckHandler;
  readonly #options: CheckLoopOptions;
  readonly #host: CheckLoopHost;
  readonly #stop = new AbortController();

  constructor(handler: CheckHandler, options: CheckLoopOptions, host: CheckLoopHost) {
    this.#handler = handler;
    this.#options = options;
    this.#host = host;
    this.closed = pollLoop(
      () => this.#poll(),
      this.#stop.signal,
      (error) => options.onError?.(error, undefined),
    );
    // Whoever does not look at `closed` has `onError`.
    this.closed.catch(() => undefined);
  }

  async close(): Promise<void> {
    this.#stop.abort();
    await this.closed.catch(() => undefined);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #poll(): Promise<void> {
    const checks = await this.#checks();
    await Promise.all(checks.map((check) => this.#decide(check)));
  }

  async #checks(): Promise<Check[]> {
    const { maxChecks = 16, leaseMs = 0 } = this.#options;
    const request = {
      producer_group: this.#host.group,
      max_checks: maxChecks,
      max_wait_ms: POLL_WAIT_MS,
      check_lease_ms: leaseMs,
    };
    const options = { timeoutMs: POLL_TIMEOUT_MS, signal: this.#stop.signal };
    const answer = await this.#host.calls.unary(
      this.#host.method,
      request,
      plan('read', options, false),
    );
    return list(answer.checks).map(readCheck);
  }

  async #decide(check: Check): Promise<void> {
    try {
      const decision = await this.#handler(check);
      const { topic, queue } = check.parts[0] ?? {};
      await this.#host.end({ transactionId: check.transactionId, topic, queue }, decision);
    } catch (error) {
      this.#options.onError?.(error, check);
    }
  }
}

function readCheck(from: WireObject): Check {
  return {
    transactionId: String(from.transaction_id),
    callerTransactionId: String(from.caller_transaction_id),
    checkCount: int(from.check_count),
    preparedAtMs: int(from.prepared_at_ms),
    parts: list(from.parts).map(readPart),
  };
}

function readPart(from: WireObject): CheckPart {
  return {
    topic: String(from.topic),
    queue: int(from.queue),
    firstMessageId: String(from.first_message_id),
    messages: list(from.messages).map(messageContent),
  };
}
