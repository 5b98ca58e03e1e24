/** The gRPC server: every limit said, raw bytes in and out, health and reflection. */
import type { Socket } from 'node:net';
import {
  type MethodDefinition,
  Server,
  type ServerCredentials,
  type ServerOptions,
  type ServiceDefinition,
  type UntypedServiceImplementation,
} from '@grpc/grpc-js';
import { ReflectionService } from '@grpc/reflection';
import { HealthImplementation } from 'grpc-health-check';
import { ClientPort, type ClientPortLimits } from './client-port.ts';
import type { ServiceConfig } from './config.ts';
import { letGoOfReadMessages } from './decoder-memory.ts';
import { repairedDescriptors } from './descriptors.ts';
import { boundConnections, onTlsRefused } from './http2-limits.ts';
import { type Proto, SERVICE_NAMES } from './proto.ts';
import { asBuffer } from './wire.ts';

export interface Listen {
  readonly host: string;
  /** 0 = any free one. */
  readonly port: number;
}

/** Where connections come from, if they are not to be listened for here. */
export interface Door {
  open(letIn: (socket: Socket) => void): Promise<{ port: number }>;
}

/** By gRPC path. */
export type Handlers = ReadonlyMap<string, UntypedServiceImplementation[string]>;

const UNLIMITED_MS = 2 ** 31 - 1;
const HEALTH_SERVICE = 'grpc.health.v1.Health';
const same = (bytes: Buffer): Buffer => bytes;

/** Every one that grpc-js looks at in a server: a test reads its sources for others. */
export function serverOptions(config: ServiceConfig): ServerOptions {
  return {
    'grpc.max_receive_message_length': config.maxRequestBytes,
    // Our own bounds (maxResponseBytes, maxFetchBytes) hold before this one could.
    'grpc.max_send_message_length': -1,
    'grpc.max_concurrent_streams': config.maxConcurrentStreams,
    'grpc.keepalive_time_ms': config.keepaliveTimeMs,
    'grpc.keepalive_timeout_ms': config.keepaliveTimeoutMs,
    'grpc.keepalive_permit_without_calls': 1,
    'grpc.max_connection_idle_ms': config.maxConnectionIdleMs,
    // Streams live as long as their clients; an age would cut them off.
    'grpc.max_connection_age_ms': UNLIMITED_MS,
    'grpc.max_connection_age_grace_ms': UNLIMITED_MS,
    'grpc-node.max_session_memory': config.maxSessionMemoryMb,
    'grpc-node.tls_enable_trace': 0,
    'grpc.server_call_metric_recording': 0,
    'grpc.enable_channelz': 0,
  };
}

/** Connections that did not come as far as a call. */
export interface ConnectionEvents {
  turnedAway(source: string, limit: keyof ClientPortLimits): void;
  tlsRefused(source: string, error: NodeJS.ErrnoException): void;
  failed(error: Error): void;
}

export class GrpcServer {
  readonly #server: Server;
  readonly #health: HealthImplementation;
  readonly #config: ServiceConfig;
  readonly #events: ConnectionEvents;
  #port: ClientPort | undefined;
  #isServing = false;

  constructor(proto: Proto, handlers: Handlers, config: ServiceConfig, events: ConnectionEvents) {
    letGoOfReadMessages();
    this.#config = config;
    this.#events = events;
    this.#server = new Server(serverOptions(config));
    boundConnections(this.#server);
    for (const name of SERVICE_NAMES) this.#addService(proto, name, handlers);
    this.#health = new HealthImplementation();
    this.setServing(false);
    this.#health.addToServer(this.#server);
    reflectionOf(proto).addToServer(this.#server);
  }

  async start(listen: Listen | Door, credentials: ServerCredentials): Promise<{ port: number }> {
    const injector = this.#server.createConnectionInjector(credentials);
    const { failed, tlsRefused, turnedAway } = this.#events;
    onTlsRefused(this.#server, tlsRefused);
    const letIn = (socket: Socket) => injector.injectConnection(socket);
    if ('open' in listen) return listen.open(letIn);
    const { host, port } = listen;
    this.#port = new ClientPort(this.#config, { letIn, turnedAway, failed });
    try {
      return await this.#port.listen(host, port);
    } catch (error) {
      const why = `cannot listen on ${bracketed(host)}:${port}: ${(error as Error).message}`;
      throw new Error(why, { cause: error });
    }
  }

  get isServing(): boolean {
    return this.#isServing;
  }

  /** What the health service says; not to be recommended until told otherwise. */
  setServing(serving: boolean): void {
    this.#isServing = serving;
    const status = serving ? 'SERVING' : 'NOT_SERVING';
    for (const name of ['', ...SERVICE_NAMES]) this.#health.setStatus(name, status);
  }

  /** Lets calls end; after `graceMs` cuts what is left. */
  stop(graceMs: number): Promise<void> {
    this.#port?.close();
    return new Promise((resolve) => {
      const force = setTimeout(() => {
        this.#server.forceShutdown();
        // Its own callback would wait until the last client has noticed.
        resolve();
      }, graceMs);
      this.#server.tryShutdown(() => {
        clearTimeout(force);
        resolve();
      });
    });
  }

  /** All methods with identity (de)serialisers: bytes are looked at, where need be, further in. */
  #addService(proto: Proto, name: string, handlers: Handlers): void {
    const definition: Record<string, MethodDefinition<Buffer, Buffer>> = {};
    const implementation: UntypedServiceImplementation = {};
    for (const [method, found] of Object.entries(proto.methods(name))) {
      const { path, requestStream, responseStream } = found;
      const handler = handlers.get(path);
      if (handler === undefined) throw new TypeError(`no handler for ${path}`);
      implementation[method] = handler;
      definition[method] = {
        ...{ path, requestStream, responseStream },
        requestSerialize: same,
        requestDeserialize: same,
        responseSerialize: asBuffer,
        responseDeserialize: same,
      };
    }
    this.#server.addService(definition as ServiceDefinition, implementation);
  }
}

const REFLECTIONS = new WeakMap<Proto, ReflectionService>();

/** Servers of one proto describe themselves alike. */
function reflectionOf(proto: Proto): ReflectionService {
  const known = REFLECTIONS.get(proto);
  if (known !== undefined) return known;
  const services = [...SERVICE_NAMES, HEALTH_SERVICE];
  const reflection = new ReflectionService(repairedDescriptors(proto.all), { services });
  REFLECTIONS.set(proto, reflection);
  return reflection;
}

function bracketed(host: string): string {
  return host.includes(':') && !host.startsWith('[') ? `[${host}]` : host;
}
