/** Plain calls to one node; every answer says what is known about its effect. */
import {
  Client,
  type ClientDuplexStream,
  credentials,
  Metadata,
  type ServiceError,
  status,
} from '@grpc/grpc-js';
import { nowMs, type Outcome } from '../history.ts';
import {
  type MethodName,
  methodDefinition,
  type Request,
  type Response,
  type StreamError,
  type StreamName,
  type Streams,
} from './methods.ts';

interface Times {
  readonly invokedMs: number;
  readonly completedMs: number;
}

export interface Refusal extends Times {
  readonly outcome: Exclude<Outcome, 'ok'>;
  /** Empty: the error did not come from a node (a reset connection, the stub's own deadline). */
  readonly reason: string;
  readonly retryable: boolean;
  readonly retryAfterMs: number;
  /** What became of the transaction, where the refusal says so; else empty. */
  readonly transactionState: string;
  readonly text: string;
}

export type Answer<T> = (Times & { readonly outcome: 'ok'; readonly value: T }) | Refusal;

const CHANNEL_OPTIONS = {
  // A retry below us would be a second attempt that no history shows.
  'grpc.enable_retries': 0,
  'grpc.service_config_disable_resolution': 1,
  'grpc.use_local_subchannel_pool': 1,
  'grpc.initial_reconnect_backoff_ms': 50,
  'grpc.min_reconnect_backoff_ms': 50,
  'grpc.max_reconnect_backoff_ms': 200,
};

export class NodeStub {
  readonly node: number;
  readonly #client: Client;

  constructor(node: number, address: string) {
    this.node = node;
    this.#client = new Client(address, credentials.createInsecure(), CHANNEL_OPTIONS);
  }

  call<M extends MethodName>(
    method: M,
    request: Request<M>,
    timeoutMs: number,
  ): Promise<Answer<Response<M>>> {
    const { path, requestSerialize, responseDeserialize } = methodDefinition(method);
    const invokedMs = nowMs();
    return new Promise((resolve) => {
      this.#client.makeUnaryRequest(
        path,
        requestSerialize,
        responseDeserialize,
        request,
        new Metadata(),
        { deadline: Date.now() + timeoutMs },
        (error, value) => {
          const times = { invokedMs, completedMs: nowMs() };
          if (error !== null) resolve({ ...times, ...classify(error) });
          else resolve({ ...times, outcome: 'ok', value: value as Response<M> });
        },
      );
    });
  }

  /** Both sides of it are the caller's to end. */
  stream<S extends StreamName>(
    name: S,
  ): ClientDuplexStream<Streams[S]['request'], Streams[S]['response']> {
    const { path, requestSerialize, responseDeserialize } = methodDefinition(name);
    const opened: unknown = this.#client.makeBidiStreamRequest(
      path,
      requestSerialize,
      responseDeserialize,
      new Metadata(),
      {},
    );
    return opened as ClientDuplexStream<Streams[S]['request'], Streams[S]['response']>;
  }

  /** Resolves when connected; false when the time runs out first. */
  connected(timeoutMs: number): Promise<boolean> {
    return new Promise((resolve) => {
      this.#client.waitForReady(Date.now() + timeoutMs, (error) => resolve(error === undefined));
    });
  }

  close(): void {
    this.#client.close();
  }
}

/** `fail` only on a node's own word (docs/errors.md); whatever else comes leaves it open. */
export function classify(
  error: Pick<ServiceError, 'code' | 'details' | 'metadata'>,
): Omit<Refusal, keyof Times> {
  const trailer = (name: string): string => String(error.metadata?.get(name)[0] ?? '');
  const reason = trailer('holdfast-reason');
  const definite = reason !== '' && trailer('holdfast-outcome-unknown') === 'false';
  return {
    outcome: definite ? 'fail' : 'unknown',
    reason,
    retryable: reason === '' || trailer('holdfast-retryable') === 'true',
    retryAfterMs: Number(trailer('holdfast-retry-after-ms')) || 0,
    transactionState: trailer('holdfast-transaction-state'),
    text: `${status[error.code]} ${reason}: ${error.details}`,
  };
}

/** The same word, said by an element of a stream. */
export function classifyElement(error: StreamError): Omit<Refusal, keyof Times> {
  const { reason, retryable, message } = error;
  const definite = reason !== '' && !error.outcome_unknown;
  return {
    outcome: definite ? 'fail' : 'unknown',
    reason,
    retryable: reason === '' || retryable,
    retryAfterMs: error.retry_after_ms,
    transactionState: '',
    text: `${status[error.code]} ${reason}: ${message}`,
  };
}
