/** The public proto, loaded once: codecs of the cold calls, descriptors for reflection. */
import { dirname } from 'node:path';
import {
  fromJSON,
  loadSync,
  type MethodDefinition,
  type PackageDefinition,
} from '@grpc/proto-loader';
import { protoPath as healthProtoPath } from 'grpc-health-check';
import { protoDirectory } from '../package-root.ts';
import { CallError } from '../status.ts';
import { asBuffer, WireReader } from './wire.ts';

const FILES = ['log', 'transactions', 'deliveries', 'groups', 'admin'].map(
  (name) => `holdfast/v1/${name}.proto`,
);
/** Numbers of 64 bits as text, so that convert.ts sees what was really sent. */
const OPTIONS = {
  keepCase: true,
  longs: String,
  enums: Number,
  defaults: true,
  oneofs: true,
} as const;

export const SERVICE_NAMES = [
  'holdfast.v1.Log',
  'holdfast.v1.Transactions',
  'holdfast.v1.Groups',
  'holdfast.v1.Deliveries',
  'holdfast.v1.Admin',
] as const;

const field = (type: string, id: number) => ({ type, id });
/**
 * What the details of a status hold (error-codec.ts), so that a generic client can show it. The
 * same bytes as google's own files describe; a Duration of its own, as imports would get lost.
 */
const ERROR_DETAILS = {
  ErrorInfo: {
    fields: {
      ...{ reason: field('string', 1), domain: field('string', 2) },
      metadata: { keyType: 'string', ...field('string', 3) },
    },
  },
  RetryInfo: {
    fields: { retry_delay: field('Duration', 1) },
    nested: { Duration: { fields: { seconds: field('int64', 1), nanos: field('int32', 2) } } },
  },
};

export type ProtoMethod = MethodDefinition<object, object>;

export class Proto {
  readonly #own: PackageDefinition;
  /** Ours, the health service and the details of errors: what reflection shows. */
  readonly all: PackageDefinition;

  constructor() {
    this.#own = loadSync(FILES, { ...OPTIONS, includeDirs: [protoDirectory()] });
    const healthRoot = dirname(dirname(dirname(healthProtoPath)));
    const health = loadSync('health/v1/health.proto', { ...OPTIONS, includeDirs: [healthRoot] });
    const google = { nested: { rpc: { nested: ERROR_DETAILS } } };
    const details = fromJSON({ nested: { google } }, OPTIONS);
    this.all = { ...this.#own, ...health, ...details };
  }

  /** All methods of a service, by name. */
  methods(service: string): Readonly<Record<string, ProtoMethod>> {
    const found = this.#own[service];
    if (found === undefined) throw new TypeError(`no service ${service} in the proto`);
    return found as unknown as Record<string, ProtoMethod>;
  }

  /** By gRPC path, such as `/holdfast.v1.Log/ListOffsets`. */
  method(path: string): ProtoMethod {
    const [, service = '', name = ''] = path.split('/');
    const found = this.methods(service)[name];
    if (found === undefined) throw new TypeError(`no method ${path} in the proto`);
    return found;
  }
}

let shared: Proto | undefined;

/** That of all nodes in this process: reading it takes longer than starting the rest of one. */
export function sharedProto(): Proto {
  shared ??= new Proto();
  return shared;
}

export function decodeRequest<Request>(method: ProtoMethod, bytes: Uint8Array): Request {
  checkStructure(bytes);
  try {
    return method.requestDeserialize(asBuffer(bytes)) as Request;
  } catch (error) {
    const text = error instanceof Error ? error.message : String(error);
    throw new CallError('MALFORMED_REQUEST', `malformed request: ${text}`);
  }
}

/** The library's decoder takes text that is cut off; we do not. */
function checkStructure(bytes: Uint8Array): void {
  const reader = new WireReader(bytes);
  while (reader.position < reader.end) reader.skip(reader.varint() & 7);
}

export function encodeResponse(method: ProtoMethod, response: object): Buffer {
  return method.responseSerialize(response);
}
