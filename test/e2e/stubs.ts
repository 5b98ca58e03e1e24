/**
 * What a stranger has: stubs made from the proto files with every option at its default (numbers of
 * 64 bits as Long, fields in camelCase, 4 MiB per answer), and one address.
 */
import { Client, credentials, Metadata, type ServiceError, status } from '@grpc/grpc-js';
import { loadSync, type MethodDefinition, type ServiceDefinition } from '@grpc/proto-loader';
import { protoDirectory } from '../../src/package-root.ts';

const FILES = ['log', 'transactions', 'admin'].map((name) => `holdfast/v1/${name}.proto`);
const CALL_TIMEOUT_MS = 20_000;

/** A 64-bit number as the default stub shows it. */
export interface Wide {
  toNumber(): number;
}

export interface Ack {
  readonly firstMessageId: string;
  readonly baseOffset?: Wide;
  readonly count: number;
  readonly queue?: number;
  readonly logIndex: Wide;
  readonly durability: number;
  readonly replicas: number;
  readonly duplicate: boolean;
}

export interface Batch {
  readonly baseOffset?: Wide;
  readonly count: number;
  readonly messages: readonly { readonly key: string; readonly body?: Buffer }[];
}

/** Default stubs leave out what is empty or 0. */
export interface Fetched {
  readonly nextOffset?: Wide;
  readonly startOffset?: Wide;
  readonly endOffset?: Wide;
  readonly batches?: readonly Batch[];
}

export interface Read {
  readonly offset: number;
  readonly body: string;
}

type Service = 'Log' | 'Transactions' | 'Admin';

const definitions = loadSync(FILES, { includeDirs: [protoDirectory()] });

export function methodOf(service: Service, name: string): MethodDefinition<object, object> {
  const found = (definitions[`holdfast.v1.${service}`] as ServiceDefinition)[name];
  if (found === undefined) throw new Error(`the proto has no ${service}.${name}`);
  return found;
}

export class Stubs {
  readonly address: string;
  readonly client: Client;

  /** `alone`: on a connection that no other stub of this process shares. */
  constructor(address: string, alone = false) {
    this.address = address;
    const options = alone ? { 'grpc.use_local_subchannel_pool': 1 } : {};
    this.client = new Client(address, credentials.createInsecure(), options);
  }

  call<Answer = unknown>(
    service: Service,
    name: string,
    request: object,
    timeoutMs = CALL_TIMEOUT_MS,
  ): Promise<Answer> {
    const { path, requestSerialize, responseDeserialize } = methodOf(service, name);
    const deadline = Date.now() + timeoutMs;
    return new Promise((resolve, reject) => {
      this.client.makeUnaryRequest(
        ...([path, requestSerialize, responseDeserialize, request, { deadline }] as const),
        (error, answer) => (error === null ? resolve(answer as Answer) : reject(error)),
      );
    });
  }

  createTopic(name: string, queueCount = 3, config: object = {}): Promise<unknown> {
    return this.call('Admin', 'CreateTopic', { name, queueCount, config });
  }

  produce(topic: string, queue: number, ...bodies: readonly (string | Buffer)[]): Promise<Ack> {
    const messages = bodies.map((body) => ({ body: Buffer.from(body) }));
    return this.call('Log', 'Produce', { topic, queue, messages });
  }

  /**
   * One message, as a careful client sends it: under an id of its own, again and again until its
   * acknowledgement is there.
   */
  async produceSafely(topic: string, queue: number, body: string, producerId = body): Promise<Ack> {
    const { path, requestSerialize, responseDeserialize } = methodOf('Log', 'Produce');
    const messages = [{ body: Buffer.from(body) }];
    const request = { topic, queue, messages, producerId, sequence: 0 };
    const metadata = new Metadata({ waitForReady: true });
    for (;;) {
      const deadline = Date.now() + CALL_TIMEOUT_MS;
      const outcome = await new Promise<Ack | ServiceError>((resolve) => {
        this.client.makeUnaryRequest(
          ...([path, requestSerialize, responseDeserialize, request, metadata] as const),
          { deadline },
          (error, answer) => resolve(error ?? (answer as Ack)),
        );
      });
      if (!(outcome instanceof Error)) return outcome;
      const { code, retryable, outcomeUnknown } = refusal(outcome);
      const again =
        code === status.UNAVAILABLE || retryable === 'true' || outcomeUnknown === 'true';
      if (!again) throw outcome;
    }
  }

  fetch(topic: string, queue: number, offset: number, more: object = {}): Promise<Fetched> {
    return this.call('Log', 'Fetch', { topic, queue, offset, ...more });
  }

  /** Everything the queue holds, from `offset` (default: its start) to its end. */
  async readAll(topic: string, queue: number, offset?: number): Promise<Read[]> {
    let at = offset ?? (await this.range(topic, queue)).start;
    const read: Read[] = [];
    for (;;) {
      const answer = await this.fetch(topic, queue, at, { linearizable: true });
      read.push(...messagesOf(answer));
      at = numberOf(answer.nextOffset);
      if (at === numberOf(answer.endOffset)) return read;
    }
  }

  async range(topic: string, queue: number): Promise<{ start: number; end: number }> {
    const { queues } = await this.call<{
      queues: readonly { startOffset?: Wide; endOffset?: Wide }[];
    }>('Log', 'ListOffsets', { topic, queues: [queue] });
    const [range] = queues;
    return { start: numberOf(range?.startOffset), end: numberOf(range?.endOffset) };
  }

  close(): void {
    this.client.close();
  }
}

export const numberOf = (wide: Wide | undefined): number => wide?.toNumber() ?? 0;

export function messagesOf({ batches = [] }: { readonly batches?: readonly Batch[] }): Read[] {
  return batches.flatMap(({ baseOffset, messages }) =>
    messages.map(({ body }, at) => ({
      offset: numberOf(baseOffset) + at,
      body: body?.toString() ?? '',
    })),
  );
}

export interface Refused {
  readonly code: number;
  readonly reason: string;
  readonly text: string;
  readonly retryable: string;
  readonly outcomeUnknown: string;
  /** `holdfast-<name>` of the trailers. */
  trailer(name: string): string | undefined;
}

/** How a call that must be refused was refused. */
export async function refused(call: Promise<unknown>): Promise<Refused> {
  const error = await call.then(
    (answer) => Promise.reject(new Error(`not refused: ${JSON.stringify(answer)}`)),
    (thrown: ServiceError) => thrown,
  );
  return refusal(error);
}

export function refusal(error: ServiceError): Refused {
  if (error.metadata === undefined) throw error;
  const trailer = (name: string) => error.metadata.get(`holdfast-${name}`)[0]?.toString();
  return {
    code: error.code,
    reason: trailer('reason') ?? '',
    text: error.details,
    retryable: trailer('retryable') ?? '',
    outcomeUnknown: trailer('outcome-unknown') ?? '',
    trailer,
  };
}

/** Asks again (each time a real call) until it holds. */
export async function eventually<Answer>(
  ask: () => Promise<Answer>,
  holds: (answer: Answer) => boolean,
  timeoutMs = 15_000,
): Promise<Answer> {
  const endAt = performance.now() + timeoutMs;
  for (;;) {
    const answer = await ask();
    if (holds(answer)) return answer;
    if (performance.now() > endAt) throw new Error(`never came true: ${JSON.stringify(answer)}`);
  }
}
