import { type ChannelOptions, Client } from '@grpc/grpc-js';
import { channelSecurity, type TlsOptions } from './tls.ts';
import { assertConcealed, type TokenSource, tokenInterceptor } from './token.ts';

/** One address with its own connection. */
export interface Server {
  readonly address: string;
  readonly client: Client;
  /** Not chosen before this time unless nothing else is left. */
  avoidUntilMs: number;
}

/** How long a server that failed is left alone: long enough to try the others first. */
const AVOID_MS = 1000;

/** One that is connected and silent, such as a paused process, looks good again too soon. */
export const AVOID_SILENT_MS = 5000;

const CHANNEL_OPTIONS: ChannelOptions = {
  // A retry of a write is this client's business: only it knows what is safe (internals rule 12).
  'grpc.enable_retries': 0,
  'grpc.service_config_disable_resolution': 1,
  'grpc.use_local_subchannel_pool': 1,
  'grpc.initial_reconnect_backoff_ms': 100,
  'grpc.max_reconnect_backoff_ms': 1000,
  // A paused node keeps its sockets open; only an unanswered ping tells.
  'grpc.keepalive_time_ms': 2000,
  'grpc.keepalive_timeout_ms': 2000,
  'grpc.max_receive_message_length': 20 * 1024 * 1024,
  'grpc.max_send_message_length': 20 * 1024 * 1024,
  'grpc-node.flow_control_window': 8 * 1024 * 1024,
};

export const SERVERS_MAX = 64;

/**
 * The servers of a cluster: one in use, a second one connected so that moving there costs nothing.
 * Any node takes any call, so which one is in use matters only when it fails.
 */
export class Servers {
  readonly isEncrypted: boolean;
  readonly #all: readonly Server[];
  #current: Server;
  readonly #random: () => number;
  readonly #nowMs: () => number;

  constructor(
    addresses: readonly string[],
    random = Math.random,
    nowMs = Date.now,
    tls?: TlsOptions,
    token?: TokenSource,
  ) {
    if (addresses.length === 0) throw new TypeError('connect: no server given');
    if (addresses.length > SERVERS_MAX) {
      throw new TypeError(`connect: ${addresses.length} servers, at most ${SERVERS_MAX}`);
    }
    this.#random = random;
    this.#nowMs = nowMs;
    this.isEncrypted = tls !== undefined;
    assertConcealed(token, addresses, tls);
    const interceptors = token === undefined ? [] : [tokenInterceptor(token)];
    const securityOf = channelSecurity(tls);
    this.#all = addresses.map((address) => {
      const { credentials, options } = securityOf(address);
      const client = new Client(address, credentials, {
        ...{ ...CHANNEL_OPTIONS, ...options, interceptors },
      });
      return { address, client, avoidUntilMs: 0 };
    });
    this.#current = this.#pick();
    this.#warmStandby();
  }

  get count(): number {
    return this.#all.length;
  }

  addresses(): string {
    return this.#all.map((server) => server.address).join(', ');
  }

  current(): Server {
    return this.#current;
  }

  /** The connection or the node behind it failed: others take over at once. */
  failed(server: Server, avoidMs = AVOID_MS): void {
    server.avoidUntilMs = this.#nowMs() + avoidMs * (0.5 + this.#random());
    if (server !== this.#current) return;
    this.#current = this.#pick();
    this.#warmStandby();
  }

  close(): void {
    for (const server of this.#all) server.client.close();
  }

  /** A random one of those in good standing; else the one whose failure is the oldest. */
  #pick(): Server {
    const now = this.#nowMs();
    const good = this.#all.filter((server) => server.avoidUntilMs <= now);
    const chosen = good[Math.floor(this.#random() * good.length)];
    if (chosen !== undefined) return chosen;
    return this.#all.reduce((a, b) => (b.avoidUntilMs < a.avoidUntilMs ? b : a));
  }

  #warmStandby(): void {
    const now = this.#nowMs();
    const standby = this.#all.find((one) => one !== this.#current && one.avoidUntilMs <= now);
    standby?.client.getChannel().getConnectivityState(true);
  }
}

/** Accepts `host:port`, several separated by commas, or a list of them. */
export function parseServers(servers: string | readonly string[]): string[] {
  const words = (typeof servers === 'string' ? [servers] : servers).flatMap((s) => s.split(','));
  const addresses = words.map((word) => word.trim()).filter((word) => word !== '');
  for (const address of addresses) {
    const port = Number(/^(?:\[[0-9a-fA-F:]+\]|[A-Za-z0-9._-]+):(\d{1,5})$/.exec(address)?.[1]);
    if (!(port >= 1 && port <= 65535)) {
      throw new TypeError(`server '${address}': must be HOST:PORT, such as localhost:7401`);
    }
  }
  return [...new Set(addresses)];
}
