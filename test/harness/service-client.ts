/** Helpers of the service tests: typed answers, refusals, waiting for real sockets. */
import type { ServiceError } from '@grpc/grpc-js';

export interface Ack {
  readonly first_message_id: string;
  readonly base_offset?: string;
  readonly count: number;
  readonly queue: number;
  readonly term: string;
  readonly log_index: string;
  readonly durability: number;
  readonly replicas: number;
  readonly duplicate: boolean;
}

export interface Batch {
  readonly base_offset: string;
  readonly count: number;
  readonly first_message_id: string;
  readonly messages: readonly { readonly key: string; readonly body: Buffer }[];
}

export interface Fetched {
  readonly next_offset: string;
  readonly start_offset: string;
  readonly end_offset: string;
  readonly batches: readonly Batch[];
}

/** The reason of a call that must be refused, and grpc's error. */
export async function refusal(
  call: Promise<unknown>,
): Promise<{ reason: string; error: ServiceError }> {
  const outcome = await call.then(
    () => undefined,
    (thrown: unknown) => thrown as ServiceError,
  );
  if (outcome === undefined) throw new Error('not refused');
  return { reason: String(outcome.metadata?.get('holdfast-reason')[0]), error: outcome };
}

export function trailer(error: ServiceError, name: string): string {
  return String(error.metadata.get(`holdfast-${name}`)[0]);
}

/** Real sockets are in between: looks again each turn until it holds. */
export async function until(
  holds: () => boolean,
  what = 'condition',
  withinMs = 5_000,
): Promise<void> {
  const endAt = performance.now() + withinMs;
  while (!holds()) {
    if (performance.now() > endAt) throw new Error(`${what} never came true`);
    await new Promise((resolve) => setImmediate(resolve));
  }
}

export const bodies = (batches: readonly Batch[]): string[] =>
  batches.flatMap((batch) => batch.messages.map((message) => message.body.toString()));
