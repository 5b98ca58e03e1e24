import { Metadata, type ServiceError, status } from '@grpc/grpc-js';
import { backoffMs, pause } from './backoff.ts';
import {
  blamesNode,
  cancelled,
  fromServiceError,
  HoldfastError,
  isUnknownCall,
  neverSent,
  timedOut,
  withUnknownOutcome,
} from './errors.ts';
import type { Server, Servers } from './servers.ts';
import type { CallOptions } from './types.ts';
import { unreachable } from './unreachable.ts';

/**
 * read: repeated freely. idempotent: a write that gives the same result when repeated. once: a
 * write that is repeated only while nothing of it can have arrived.
 */
export type CallKind = 'read' | 'idempotent' | 'once';

export interface CallPlan {
  readonly kind: CallKind;
  readonly timeoutMs: number;
  readonly signal?: AbortSignal | undefined;
  /** Give up once every server has refused the connection, instead of waiting for the deadline. */
  readonly failFast: boolean;
}

export const CALL_TIMEOUT_MS = 30_000;

export function plan(kind: CallKind, options: CallOptions = {}, failFast = false): CallPlan {
  const { timeoutMs = CALL_TIMEOUT_MS, signal } = options;
  if (!(timeoutMs > 0)) throw new TypeError(`timeoutMs must be positive, not ${timeoutMs}`);
  return { kind, timeoutMs, signal, failFast };
}

interface Progress {
  attempts: number;
  refusals: number;
  unknown: boolean;
}

/** Unary calls with a deadline over all attempts, moving to another server when one fails. */
export class Calls {
  readonly servers: Servers;

  constructor(servers: Servers) {
    this.servers = servers;
  }

  async unary<Q, R>(
    method: { readonly path: string } & Serialisers<Q, R>,
    request: Q,
    callPlan: CallPlan,
  ): Promise<R> {
    const deadlineMs = Date.now() + callPlan.timeoutMs;
    const progress: Progress = { attempts: 0, refusals: 0, unknown: false };
    for (;;) {
      const server = this.servers.current();
      try {
        return await attempt(server, method, request, deadlineMs, callPlan.signal);
      } catch (error) {
        const failure = this.#judge(server, method.path, error, callPlan, deadlineMs, progress);
        const waitMs = this.#waitMs(failure, progress);
        await pause(Math.min(waitMs, Math.max(0, deadlineMs - Date.now())), callPlan.signal);
      }
    }
  }

  /** Returns when another attempt is right; throws what the caller shall see otherwise. */
  #judge(
    server: Server,
    path: string,
    thrown: unknown,
    callPlan: CallPlan,
    deadlineMs: number,
    progress: Progress,
  ): HoldfastError {
    const { kind, signal, timeoutMs } = callPlan;
    const service = thrown as ServiceError;
    if (typeof service?.code !== 'number') throw thrown;
    const error = fromServiceError(service);
    progress.attempts += 1;
    const write = kind !== 'read';
    if (write && error.outcomeUnknown) progress.unknown = true;
    if (signal?.aborted === true) throw cancelled(signal, progress.unknown);
    const localTimeout = service.code === status.DEADLINE_EXCEEDED && error.reason === '';
    if (localTimeout || Date.now() >= deadlineMs) {
      throw timedOut(path, timeoutMs, progress.unknown);
    }
    if (blamesNode(error)) this.servers.failed(server);
    if (neverSent(service)) {
      progress.refusals += 1;
      if (callPlan.failFast && progress.refusals >= this.servers.count) {
        throw unreachable(this.servers, service, progress.unknown);
      }
      return error;
    }
    const others = progress.attempts < this.servers.count;
    if (isUnknownCall(error) && others) return error;
    if (error.retryable && (kind !== 'once' || !error.outcomeUnknown)) return error;
    throw settle(error, write, progress.unknown);
  }

  #waitMs(failure: HoldfastError, progress: Progress): number {
    const fresh = blamesNode(failure) && progress.attempts < this.servers.count;
    return fresh ? 0 : backoffMs(progress.attempts, failure.retryAfterMs);
  }
}

interface Serialisers<Q, R> {
  readonly requestSerialize: (value: Q) => Buffer;
  readonly responseDeserialize: (bytes: Buffer) => R;
}

/** A read has no outcome to be unsure of; a write keeps the doubt of its earlier attempts. */
function settle(error: HoldfastError, write: boolean, unknown: boolean): HoldfastError {
  if (write) return unknown ? withUnknownOutcome(error) : error;
  if (!error.outcomeUnknown) return error;
  const { code, reason, message, retryable, retryAfterMs, metadata } = error;
  const facts = { code, reason, message, retryable, retryAfterMs, metadata };
  return new HoldfastError({ ...facts, outcomeUnknown: false }, error.cause);
}

function attempt<Q, R>(
  server: Server,
  method: { readonly path: string } & Serialisers<Q, R>,
  request: Q,
  deadlineMs: number,
  signal: AbortSignal | undefined,
): Promise<R> {
  return new Promise((resolve, reject) => {
    const call = server.client.makeUnaryRequest(
      method.path,
      method.requestSerialize,
      method.responseDeserialize,
      request,
      new Metadata(),
      { deadline: deadlineMs },
      (error, value) => {
        signal?.removeEventListener('abort', abort);
        if (error !== null) reject(error);
        else resolve(value as R);
      },
    );
    const abort = () => call.cancel();
    if (signal?.aborted === true) abort();
    else signal?.addEventListener('abort', abort, { once: true });
  });
}
