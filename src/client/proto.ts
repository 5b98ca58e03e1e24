/** The public proto, loaded when the first client is made. */
import type { MethodDefinition } from '@grpc/grpc-js';
import { loadSync, type PackageDefinition } from '@grpc/proto-loader';
import { protoDirectory } from '../package-root.ts';

/** Plain objects, as @grpc/proto-loader builds them: int64 as text, enums as names. */
export type WireObject = Readonly<Record<string, unknown>>;
export type Method = MethodDefinition<WireObject, WireObject>;
export type RawMethod = MethodDefinition<Buffer, Buffer>;

const FILES = ['log', 'transactions', 'groups', 'deliveries', 'admin'].map(
  (name) => `holdfast/v1/${name}.proto`,
);
const OPTIONS = { keepCase: true, longs: String, enums: String, defaults: true, oneofs: true };

export type Service = 'Log' | 'Transactions' | 'Groups' | 'Deliveries' | 'Admin';

export class Proto {
  readonly #definition: PackageDefinition;

  constructor() {
    this.#definition = loadSync(FILES, { ...OPTIONS, includeDirs: [protoDirectory()] });
  }

  method(service: Service, name: string): Method {
    const methods = this.#definition[`holdfast.v1.${service}`] as unknown as Record<string, Method>;
    const method = methods[name];
    if (method === undefined) throw new TypeError(`no method ${service}.${name} in the proto`);
    return method;
  }

  /** The same method, but its bytes are left to the caller. */
  rawMethod(service: Service, name: string): RawMethod {
    const { path, requestStream, responseStream } = this.method(service, name);
    const bytes = {
      requestSerialize: (value: Buffer) => value,
      requestDeserialize: (value: Buffer) => value,
      responseSerialize: (value: Buffer) => value,
      responseDeserialize: (value: Buffer) => value,
    };
    return { path, requestStream, responseStream, ...bytes };
  }
}
