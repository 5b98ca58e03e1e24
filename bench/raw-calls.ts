/** Calls with bytes in and bytes out: what a plain stub costs, without decoding anything. */
import * as grpc from '@grpc/grpc-js';
import { bytesField, numberField, textField } from './ceiling/wire.ts';

const MAX_BYTES = 64 * 1024 * 1024;
const same = (bytes: Buffer): Buffer => bytes;

export type DurabilityClass = 'MAJORITY_FSYNC' | 'MAJORITY';
export const DURABILITY_NUMBER: Record<DurabilityClass, number> = {
  MAJORITY_FSYNC: 1,
  MAJORITY: 2,
};

/** What a cluster asks for that is encrypted, and asks who calls. */
export interface Entrance {
  /** PEM. */
  readonly ca: string;
  readonly token: string;
}

export class RawClient {
  readonly #client: grpc.Client;
  readonly #metadata = new grpc.Metadata();

  constructor(server: string, entrance?: Entrance) {
    const credentials =
      entrance === undefined
        ? grpc.credentials.createInsecure()
        : grpc.credentials.createSsl(Buffer.from(entrance.ca));
    if (entrance !== undefined) this.#metadata.set('authorization', `Bearer ${entrance.token}`);
    this.#client = new grpc.Client(server, credentials, {
      'grpc.max_receive_message_length': MAX_BYTES,
      'grpc.max_send_message_length': MAX_BYTES,
      'grpc.enable_retries': 0,
      // The certificate has this name, too, and TLS takes none that is an address.
      ...(entrance === undefined ? {} : { 'grpc.ssl_target_name_override': 'localhost' }),
    });
  }

  /** A method of `Log`, or SERVICE/METHOD. */
  call(method: string, request: Buffer): Promise<Buffer> {
    return new Promise((resolve, reject) => {
      this.#client.makeUnaryRequest(
        `/holdfast.v1.${method.includes('/') ? method : `Log/${method}`}`,
        same,
        same,
        request,
        this.#metadata,
        (error, answer) => {
          if (error !== null) reject(error);
          else resolve(answer as Buffer);
        },
      );
    });
  }

  stream(method: string): grpc.ClientDuplexStream<Buffer, Buffer> {
    const path = `/holdfast.v1.Log/${method}`;
    return this.#client.makeBidiStreamRequest(path, same, same, this.#metadata);
  }

  close(): void {
    this.#client.close();
  }
}

/** A ProduceRequest of `count` messages with random bodies of `bodyBytes`. */
export function produceRequest(
  topic: string,
  durability: DurabilityClass,
  count: number,
  bodyBytes: number,
): Buffer {
  const fields: Buffer[] = [
    textField(1, topic),
    Buffer.from([...numberField(2, 0), ...numberField(6, DURABILITY_NUMBER[durability])]),
  ];
  for (let i = 0; i < count; i++) {
    const body = Buffer.allocUnsafe(bodyBytes);
    for (let at = 0; at < bodyBytes; at++) body[at] = Math.floor(Math.random() * 256);
    fields.push(bytesField(1000, bytesField(4, body)));
  }
  return Buffer.concat(fields);
}

export function fetchRequest(
  topic: string,
  offset: number,
  maxBytes: number,
  maxWaitMs: number,
): Buffer {
  const wait = maxWaitMs > 0 ? numberField(5, maxWaitMs) : [];
  const numbers = [...numberField(2, 0), ...numberField(3, offset), ...numberField(4, maxBytes)];
  return Buffer.concat([textField(1, topic), Buffer.from([...numbers, ...wait])]);
}
