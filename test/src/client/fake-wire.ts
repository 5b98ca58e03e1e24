/** What travels between the fake cluster and its clients: requests, messages, errors. */
import { Metadata, type ServiceError, status } from '@grpc/grpc-js';

/** What a handler answers. */
export type Wire = Readonly<Record<string, unknown>>;

/** All request fields that the fake looks at; each call has its own few of them. */
export interface WireRequest {
  readonly name: string;
  readonly topic: string;
  readonly group: string;
  readonly queue: number;
  readonly queues: readonly number[];
  readonly queue_count: number;
  readonly config: { readonly compaction: Wire | null };
  readonly queue_epoch: string;
  readonly _queue_epoch?: string;
  readonly offset: string;
  readonly offsets: readonly { readonly queue: number; readonly offset: string }[];
  readonly producer_id: string;
  readonly producer_epoch: number;
  readonly sequence: string;
  readonly durability: string;
  readonly deliver_at_ms: string;
  readonly message_id: string;
  readonly max_messages: number;
  readonly filter: SubscribeFrame['start']['filter'];
  readonly decision: string;
  readonly transaction_id: string;
  readonly parts: readonly WireRequest[];
  readonly messages: readonly Stored[];
}

export interface StreamRequest {
  readonly request_id: string;
  readonly resume: boolean;
  readonly request: WireRequest;
}

export interface SubscribeFrame {
  readonly kind: 'start' | 'credit';
  readonly credit: number;
  readonly start: {
    readonly topic: string;
    readonly credit: number;
    readonly filter: { readonly type: string; readonly expression: string } | null;
    readonly queues: readonly { readonly queue: number; readonly offset: string }[];
  };
}

export interface Stored {
  readonly body: Buffer;
  readonly key: string;
  readonly tag: string;
  readonly properties: Record<string, string>;
  readonly born_at_ms: string;
}

export interface FakeError {
  readonly code: keyof typeof status;
  readonly reason: string;
  readonly retryable?: boolean;
  readonly outcomeUnknown?: boolean;
}

/** What happens to one produce request instead of the normal course. */
export type Mishap =
  | { readonly answer: FakeError }
  /** Kept from the log (or not), and never answered. */
  | { readonly silent: 'stored' | 'lost' }
  /** Kept from the log (or not), and the stream breaks. */
  | { readonly breaks: 'stored' | 'lost' };

export class Refusal extends Error {
  readonly fake: FakeError;

  constructor(fake: FakeError) {
    super(`refused: ${fake.reason}`);
    this.fake = fake;
  }
}

export function refusal(code: keyof typeof status, reason: string, retryable = false): Error {
  return new Refusal({ code, reason, retryable });
}

export function serviceError(error: unknown): Partial<ServiceError> {
  if (!(error instanceof Refusal)) return { code: status.INTERNAL, details: String(error) };
  const { fake } = error;
  const metadata = new Metadata();
  metadata.set('holdfast-reason', fake.reason);
  metadata.set('holdfast-retryable', String(fake.retryable ?? false));
  metadata.set('holdfast-outcome-unknown', String(fake.outcomeUnknown ?? false));
  return { code: status[fake.code], details: error.message, metadata };
}

export function wireError({
  code,
  reason,
  retryable = false,
  outcomeUnknown = false,
}: FakeError): Wire {
  const facts = { retryable, outcome_unknown: outcomeUnknown };
  return { code: status[code], reason, message: `refused: ${reason}`, ...facts };
}
