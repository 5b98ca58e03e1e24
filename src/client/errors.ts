import { Metadata, type ServiceError, status } from '@grpc/grpc-js';
import type { Reader } from './wire.ts';

/** Names of the gRPC status codes. */
export type StatusName = keyof typeof status;

const NAMES = new Map<number, StatusName>(
  Object.entries(status)
    .filter((pair): pair is [StatusName, status] => typeof pair[1] === 'number')
    .map(([name, code]) => [code, name]),
);

export interface ErrorFacts {
  readonly code: StatusName;
  readonly reason: string;
  readonly message: string;
  readonly retryable: boolean;
  readonly outcomeUnknown: boolean;
  readonly retryAfterMs: number;
  readonly metadata: Readonly<Record<string, string>>;
}

/**
 * Every failure that this client reports. Match on `code` and `reason` (docs/errors.md lists the
 * server's), not on the text.
 */
export class HoldfastError extends Error {
  readonly code: StatusName;
  /** '' = the error did not come from a Holdfast node (connection lost, a proxy, …). */
  readonly reason: string;
  /** The same call may succeed later. */
  readonly retryable: boolean;
  /** A write may or may not have taken effect. */
  readonly outcomeUnknown: boolean;
  /** 0 = no hint. */
  readonly retryAfterMs: number;
  readonly metadata: Readonly<Record<string, string>>;

  constructor(facts: Partial<ErrorFacts> & { code: StatusName; message: string }, cause?: unknown) {
    super(facts.message, cause === undefined ? undefined : { cause });
    this.name = 'HoldfastError';
    this.code = facts.code;
    this.reason = facts.reason ?? '';
    this.retryable = facts.retryable ?? false;
    this.outcomeUnknown = facts.outcomeUnknown ?? false;
    this.retryAfterMs = facts.retryAfterMs ?? 0;
    this.metadata = facts.metadata ?? {};
  }
}

/** The same error, but after an attempt whose outcome nobody knows. */
export function withUnknownOutcome(error: HoldfastError): HoldfastError {
  if (error.outcomeUnknown) return error;
  const { code, reason, message, retryable, retryAfterMs, metadata } = error;
  const facts = { code, reason, message, retryable, retryAfterMs, metadata };
  return new HoldfastError({ ...facts, outcomeUnknown: true }, error.cause);
}

/** Made by the client itself; `reason` names begin with CLIENT_. */
export function clientError(
  code: StatusName,
  reason: `CLIENT_${string}`,
  message: string,
  more: Partial<ErrorFacts> = {},
): HoldfastError {
  return new HoldfastError({ ...more, code, reason, message });
}

export function timedOut(what: string, timeoutMs: number, outcomeUnknown: boolean): HoldfastError {
  const message = `${what}: no answer within ${timeoutMs} ms`;
  const facts = { retryable: true, outcomeUnknown };
  return clientError('DEADLINE_EXCEEDED', 'CLIENT_TIMEOUT', message, facts);
}

export function brokenAnswer(cause: unknown): HoldfastError {
  const message = `the server's answer makes no sense: ${(cause as Error).message}`;
  const facts = { retryable: false, outcomeUnknown: true };
  return clientError('INTERNAL', 'CLIENT_BROKEN_ANSWER', message, facts);
}

export function cancelled(signal: AbortSignal, outcomeUnknown: boolean): HoldfastError {
  const facts = { code: 'CANCELLED', reason: 'CLIENT_ABORTED', outcomeUnknown } as const;
  return new HoldfastError({ ...facts, message: 'aborted by the caller' }, signal.reason);
}

const NEVER_SENT = /No connection established|Name resolution failed/;

/** True when no connection was there to carry the call: nothing of it left this process. */
export function neverSent(error: ServiceError): boolean {
  return error.code === status.UNAVAILABLE && NEVER_SENT.test(error.details);
}

/**
 * True when the connection or the node behind it failed, rather than the call: the next attempt
 * should go elsewhere.
 */
export function isConnectionFailure(error: HoldfastError): boolean {
  return error.reason === '' && (error.code === 'UNAVAILABLE' || error.code === 'INTERNAL');
}

/** The node's build does not know the call: nothing was done, and others may know it. */
export function isUnknownCall({ reason }: HoldfastError): boolean {
  return reason === 'CLIENT_OLDER_NODE';
}

/** The trouble is the node, not the call: another one may do better at once. */
export function blamesNode(error: HoldfastError): boolean {
  if (error.reason === 'NODE_STOPPING' || error.reason === 'CLIENT_STREAM_ENDED') return true;
  return isConnectionFailure(error) || isUnknownCall(error);
}

/** From what a gRPC call ended with. An error without a reason leaves a write's outcome unknown. */
export function fromServiceError(error: ServiceError): HoldfastError {
  const trailers = error.metadata ?? new Metadata();
  const reason = trailer(trailers, 'holdfast-reason');
  const ours = reason !== '';
  if (!ours && error.code === status.UNIMPLEMENTED) return olderNode(error);
  return new HoldfastError(
    {
      code: NAMES.get(error.code) ?? 'UNKNOWN',
      reason,
      message: error.details || error.message,
      retryable: ours ? trailer(trailers, 'holdfast-retryable') === 'true' : retryableCode(error),
      outcomeUnknown: ours
        ? trailer(trailers, 'holdfast-outcome-unknown') === 'true'
        : !neverSent(error),
      retryAfterMs: Number(trailer(trailers, 'holdfast-retry-after-ms')) || 0,
      metadata: allTrailers(trailers),
    },
    error,
  );
}

function olderNode(error: ServiceError): HoldfastError {
  const message = 'the node runs a build that does not know this call: upgrade it';
  const facts = { code: 'UNIMPLEMENTED', reason: 'CLIENT_OLDER_NODE', message } as const;
  return new HoldfastError(facts, error);
}

function retryableCode(error: ServiceError): boolean {
  const { UNAVAILABLE, DEADLINE_EXCEEDED, INTERNAL, ABORTED, UNKNOWN, CANCELLED } = status;
  return [UNAVAILABLE, DEADLINE_EXCEEDED, INTERNAL, ABORTED, UNKNOWN, CANCELLED].includes(
    error.code,
  );
}

function trailer(metadata: Metadata, name: string): string {
  return String(metadata.get(name)[0] ?? '');
}

function allTrailers(metadata: Metadata): Record<string, string> {
  const facts: Record<string, string> = {};
  for (const [name, value] of Object.entries(metadata.getMap())) {
    if (name.startsWith('holdfast-')) facts[name] = String(value);
  }
  return facts;
}

/** `holdfast.v1.Error`, as it stands in stream elements. */
export function readStreamError(reader: Reader): HoldfastError {
  const facts = {
    code: 'UNKNOWN' as StatusName,
    reason: '',
    message: '',
    retryable: false,
    outcomeUnknown: false,
    retryAfterMs: 0,
    metadata: {} as Record<string, string>,
  };
  while (!reader.done()) {
    const tag = reader.varint();
    if (tag === 0x08) facts.code = NAMES.get(reader.varint()) ?? 'UNKNOWN';
    else if (tag === 0x12) facts.reason = reader.text();
    else if (tag === 0x1a) facts.message = reader.text();
    else if (tag === 0x20) facts.retryable = reader.varint() !== 0;
    else if (tag === 0x28) facts.outcomeUnknown = reader.varint() !== 0;
    else if (tag === 0x30) facts.retryAfterMs = reader.varint();
    else if (tag === 0x3a) readMapEntry(reader.nested(), facts.metadata);
    else reader.skip(tag & 7);
  }
  return new HoldfastError(facts);
}

/** One entry of a map<string, string>. */
export function readMapEntry(entry: Reader, into: Record<string, string>): void {
  let key = '';
  let value = '';
  while (!entry.done()) {
    const tag = entry.varint();
    if (tag === 0x0a) key = entry.text();
    else if (tag === 0x12) value = entry.text();
    else entry.skip(tag & 7);
  }
  if (key === '__proto__') Object.defineProperty(into, key, { value, enumerable: true });
  else into[key] = value;
}
