/**
 * A CallError as bytes: `holdfast.v1.Error` between nodes and in streams, `google.rpc.Status` with
 * ErrorInfo and RetryInfo in the trailer that every gRPC library knows.
 */
import { Metadata } from '@grpc/grpc-js';
import { CallError, isReason, type Reason } from '../status.ts';
import { bytesFieldSize, WireReader, WireType, WireWriter } from './wire.ts';

export const ERROR_DOMAIN = 'holdfast';
const ERROR_INFO = 'type.googleapis.com/google.rpc.ErrorInfo';
const RETRY_INFO = 'type.googleapis.com/google.rpc.RetryInfo';
/** Trailers travel in HTTP headers: keep the text well below their limit. */
const MAX_TEXT_BYTES = 2_048;

/** holdfast.v1.Error (types.proto). */
export function encodeError(error: CallError): Buffer {
  const message = clipped(error.message);
  const entries = mapEntries(error.metadata);
  const writer = new WireWriter(128 + message.length * 3 + entriesSize(entries));
  writer.number(1, error.code);
  writer.ascii(2, error.reason);
  writer.text(3, message, Buffer.byteLength(message));
  writer.number(4, error.retryable ? 1 : 0);
  writer.number(5, error.outcomeUnknown ? 1 : 0);
  writer.number(6, error.retryAfterMs);
  for (const entry of entries) {
    writer.message(7, entry.length);
    writer.raw(entry);
  }
  return writer.done();
}

/** From another node: of our own making, or of a newer version with a reason unknown here. */
export function decodeError(bytes: Uint8Array): CallError {
  const reader = new WireReader(bytes);
  const numbers = [0, 0, 0, 0, 0, 0, 0];
  let reason = '';
  let message = '';
  const metadata: Record<string, string> = {};
  while (reader.position < reader.end) {
    const tag = reader.varint();
    const field = tag >> 3;
    if (field === 2) reason = reader.text();
    else if (field === 3) message = reader.text();
    else if (field === 7) readEntry(reader.slice(), metadata);
    else if ((tag & 7) === WireType.varint && field < numbers.length) {
      numbers[field] = reader.varint();
    } else reader.skip(tag & 7);
  }
  const known: Reason = isReason(reason) ? reason : 'INTERNAL';
  return new CallError(known, message, {
    metadata,
    retryAfterMs: numbers[6] ?? 0,
    outcomeUnknown: numbers[5] !== 0,
  });
}

/** What grpc-js's callbacks and `destroy` take. */
export interface GrpcError {
  readonly code: number;
  readonly details: string;
  readonly metadata: Metadata;
}

export function toGrpcError(error: CallError): GrpcError {
  const metadata = new Metadata();
  metadata.set('holdfast-reason', error.reason);
  metadata.set('holdfast-retryable', String(error.retryable));
  metadata.set('holdfast-outcome-unknown', String(error.outcomeUnknown));
  metadata.set('holdfast-retry-after-ms', String(error.retryAfterMs));
  for (const [key, value] of Object.entries(error.metadata)) {
    metadata.set(`holdfast-${key}`, value);
  }
  metadata.set('grpc-status-details-bin', encodeRpcStatus(error));
  return { code: error.code, details: clipped(error.message), metadata };
}

/** google.rpc.Status {code = 1, message = 2, details = 3: Any {type_url = 1, value = 2}}. */
export function encodeRpcStatus(error: CallError): Buffer {
  const message = clipped(error.message);
  const details = [any(ERROR_INFO, errorInfo(error))];
  if (error.retryAfterMs > 0) details.push(any(RETRY_INFO, retryInfo(error.retryAfterMs)));
  let total = 16 + message.length * 3;
  for (const detail of details) total += bytesFieldSize(1, detail.length);
  const writer = new WireWriter(total);
  writer.number(1, error.code);
  writer.text(2, message, Buffer.byteLength(message));
  for (const detail of details) {
    writer.message(3, detail.length);
    writer.raw(detail);
  }
  return writer.done();
}

function any(typeUrl: string, value: Buffer): Buffer {
  const size = bytesFieldSize(1, typeUrl.length) + bytesFieldSize(1, value.length);
  const writer = new WireWriter(size);
  writer.ascii(1, typeUrl);
  writer.message(2, value.length);
  writer.raw(value);
  return writer.done();
}

/** google.rpc.ErrorInfo {reason = 1, domain = 2, metadata = 3}. */
function errorInfo(error: CallError): Buffer {
  const entries = mapEntries({
    retryable: String(error.retryable),
    outcome_unknown: String(error.outcomeUnknown),
    ...error.metadata,
  });
  const writer = new WireWriter(128 + entriesSize(entries));
  writer.ascii(1, error.reason);
  writer.ascii(2, ERROR_DOMAIN);
  for (const entry of entries) {
    writer.message(3, entry.length);
    writer.raw(entry);
  }
  return writer.done();
}

/** google.rpc.RetryInfo {retry_delay = 1: Duration {seconds = 1, nanos = 2}}. */
function retryInfo(retryAfterMs: number): Buffer {
  const duration = new WireWriter(32);
  duration.number(1, Math.floor(retryAfterMs / 1000));
  duration.number(2, Math.round((retryAfterMs % 1000) * 1e6));
  const body = duration.done();
  const writer = new WireWriter(bytesFieldSize(1, body.length));
  writer.message(1, body.length);
  writer.raw(body);
  return writer.done();
}

/** Entries of a map<string, string>. */
function mapEntries(map: Readonly<Record<string, string>>): Buffer[] {
  return Object.entries(map).map(([key, value]) => {
    const keyBytes = Buffer.byteLength(key);
    const valueBytes = Buffer.byteLength(value);
    const writer = new WireWriter(bytesFieldSize(1, keyBytes) + bytesFieldSize(1, valueBytes));
    writer.text(1, key, keyBytes);
    writer.text(2, value, valueBytes);
    return writer.done();
  });
}

function entriesSize(entries: readonly Buffer[]): number {
  let size = 0;
  for (const entry of entries) size += bytesFieldSize(1, entry.length);
  return size;
}

function readEntry(entry: Buffer, into: Record<string, string>): void {
  const reader = new WireReader(entry);
  let key = '';
  let value = '';
  while (reader.position < reader.end) {
    const tag = reader.varint();
    if (tag === 1 * 8 + 2) key = reader.text();
    else if (tag === 2 * 8 + 2) value = reader.text();
    else reader.skip(tag & 7);
  }
  into[key] = value;
}

function clipped(text: string): string {
  return text.length <= MAX_TEXT_BYTES ? text : `${text.slice(0, MAX_TEXT_BYTES)}…`;
}
