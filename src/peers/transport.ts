import type { Server, Socket } from 'node:net';
import { connect, createServer } from 'node:net';
import type { Refusal } from './handshake.ts';
import type { PeerLimits } from './limits.ts';

export interface HostPort {
  readonly host: string;
  readonly port: number;
}

/** Who the other end of a connection is beyond doubt, or why it may be anybody. */
export type PeerProof = { readonly names: readonly string[] } | { readonly refusal: Refusal };

export interface ServerEvents {
  /** Bytes may be exchanged. */
  onConnection(socket: Socket): void;
  /** It came to nothing; `from` is where it came from. */
  onRefused(from: string, refusal: Refusal): void;
}

/** Where byte streams come from. `node:tls` fits in: its sockets and servers are those of net. */
export interface PeerTransport {
  /** `onConnect` once bytes may be sent. Failure shows as the socket's `error` and `close`. */
  connect(address: HostPort, onConnect: () => void): Socket;
  createServer(events: ServerEvents, limits: PeerLimits): Server;
  /** Of a connected socket; undefined where nothing is ever proven. */
  proofOf(socket: Socket): PeerProof | undefined;
  /** Why the other end did not get as far as being connected, where that is more than a failure. */
  refusalOf(socket: Socket): Refusal | undefined;
}

export function originOf({ remoteAddress, remotePort }: Socket): string {
  return `${remoteAddress}:${remotePort}`;
}

export const TCP_TRANSPORT: PeerTransport = {
  connect: (address, onConnect) => connect({ host: address.host, port: address.port }, onConnect),
  createServer: ({ onConnection }) => createServer(onConnection),
  proofOf: () => undefined,
  refusalOf: () => undefined,
};
