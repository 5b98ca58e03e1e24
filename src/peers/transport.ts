import type { Server, Socket } from 'node:net';
import { connect, createServer } from 'node:net';

export interface HostPort {
  readonly host: string;
  readonly port: number;
}

/** Where byte streams come from. `node:tls` fits in: its sockets and servers are those of net. */
export interface PeerTransport {
  /** `onConnect` once bytes may be sent. Failure shows as the socket's `error` and `close`. */
  connect(address: HostPort, onConnect: () => void): Socket;
  createServer(onConnection: (socket: Socket) => void): Server;
}

export const TCP_TRANSPORT: PeerTransport = {
  connect: (address, onConnect) => connect({ host: address.host, port: address.port }, onConnect),
  createServer: (onConnection) => createServer(onConnection),
};
