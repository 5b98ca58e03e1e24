/** A connection whose other end is the campaign: bytes in as they are handed, bytes out ignored. */
import { createServer, type Socket } from 'node:net';
import { Duplex } from 'node:stream';
import { type PeerTransport, TCP_TRANSPORT } from '../../src/peers/transport.ts';

class FuzzSocket extends Duplex {
  readonly remoteAddress = '127.0.0.1';
  readonly remotePort = 1;

  constructor() {
    super({ allowHalfOpen: false });
  }

  setNoDelay(): this {
    return this;
  }

  setKeepAlive(): this {
    return this;
  }

  override _read(): void {}

  override _write(_: unknown, __: BufferEncoding, done: () => void): void {
    done();
  }

  /** At once, past the stream's own buffer. */
  receive(bytes: Buffer): void {
    this.emit('data', bytes);
  }
}

/** What a node listens with: `accept` is as if somebody had connected. */
export class FuzzTransport implements PeerTransport {
  #accept: ((socket: Socket) => void) | undefined;

  readonly connect: PeerTransport['connect'] = (address, onConnect) =>
    TCP_TRANSPORT.connect(address, onConnect);

  readonly createServer: PeerTransport['createServer'] = ({ onConnection }) => {
    this.#accept = onConnection;
    return createServer(onConnection);
  };

  proofOf(): undefined {
    return undefined;
  }

  refusalOf(): undefined {
    return undefined;
  }

  accept(): FuzzSocket {
    const socket = new FuzzSocket();
    this.#accept!(socket as unknown as Socket);
    return socket;
  }
}

export type { FuzzSocket };
