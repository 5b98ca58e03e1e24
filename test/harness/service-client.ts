/** A client of the service tests: its stub, typed answers, refusals, waiting for real sockets. */
import * as grpc from '@grpc/grpc-js';
import { Proto } from '../../src/service/proto.ts';

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
  readonly stored_at_ms: string;
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
): Promise<{ reason: string; error: grpc.ServiceError }> {
  const outcome = await call.then(
    () => undefined,
    (thrown: unknown) => thrown as grpc.ServiceError,
  );
  if (outcome === undefined) throw new Error('not refused');
  return { reason: String(outcome.metadata?.get('holdfast-reason')[0]), error: outcome };
}

export function trailer(error: grpc.ServiceError, name: string): string {
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

const proto = new Proto();

/** A stub as any user would make it, from the proto alone. */
export function connect(port: number, token = ''): TestClient {
  return new TestClient(port, token);
}

export class TestClient {
  readonly #client: grpc.Client;
  readonly #metadata = new grpc.Metadata();

  constructor(port: number, token = '') {
    if (token !== '') this.#metadata.set('authorization', `Bearer ${token}`);
    const credentials = grpc.credentials.createInsecure();
    const options = { 'grpc.enable_retries': 0 };
    this.#client = new grpc.Client(`127.0.0.1:${port}`, credentials, options);
  }

  /** Resolves with the decoded response; rejects with grpc's ServiceError. */
  call<Response>(method: string, request: object, deadlineMs = 10_000): Promise<Response> {
    return this.start<Response>(method, request, deadlineMs).answer;
  }

  start<Response>(
    method: string,
    request: object,
    deadlineMs = 10_000,
  ): { answer: Promise<Response>; cancel(): void } {
    const found = proto.method(`/holdfast.v1.${method}`);
    let cancel = () => {};
    const answer = new Promise<Response>((resolve, reject) => {
      const call = this.#client.makeUnaryRequest(
        found.path,
        found.requestSerialize,
        found.responseDeserialize,
        request,
        this.#metadata,
        { deadline: Date.now() + deadlineMs },
        (error, response) => (error ? reject(error) : resolve(response as Response)),
      );
      cancel = () => call.cancel();
    });
    return { answer, cancel: () => cancel() };
  }

  stream<Request extends object, Response>(
    method: string,
  ): grpc.ClientDuplexStream<Request, Response> {
    const found = proto.method(`/holdfast.v1.${method}`);
    return this.#client.makeBidiStreamRequest(
      found.path,
      found.requestSerialize as (request: Request) => Buffer,
      found.responseDeserialize as unknown as (bytes: Buffer) => Response,
      this.#metadata,
    );
  }

  serverStream<Response>(method: string, request: object): grpc.ClientReadableStream<Response> {
    const found = proto.method(`/holdfast.v1.${method}`);
    return this.#client.makeServerStreamRequest(
      found.path,
      found.requestSerialize,
      found.responseDeserialize as unknown as (bytes: Buffer) => Response,
      request,
      this.#metadata,
    );
  }

  raw(path: string, bytes: Buffer): Promise<Buffer> {
    const same = (value: Buffer): Buffer => value;
    return new Promise((resolve, reject) => {
      this.#client.makeUnaryRequest(path, same, same, bytes, (error, response) =>
        error ? reject(error) : resolve(response!),
      );
    });
  }

  close(): void {
    this.#client.close();
  }
}

export const message = (body: string, fields: object = {}): object => ({
  body: Buffer.from(body),
  ...fields,
});
