/**
 * Listens for clients, and lets no more of them in than a node can hold, nor so many from one
 * address that there is no room for others.
 */
import { createServer, type Server, type Socket } from 'node:net';

export interface ClientPortLimits {
  readonly maxConnections: number;
  readonly maxConnectionsPerAddress: number;
}

export interface ClientPortEvents {
  letIn(socket: Socket): void;
  /** It was closed at once. */
  turnedAway(source: string, limit: keyof ClientPortLimits): void;
  /** While it listens: somebody could not be let in. */
  failed(error: Error): void;
}

export class ClientPort {
  readonly #limits: ClientPortLimits;
  readonly #events: ClientPortEvents;
  readonly #server: Server;
  readonly #byAddress = new Map<string, number>();
  #connections = 0;

  constructor(limits: ClientPortLimits, events: ClientPortEvents) {
    this.#limits = limits;
    this.#events = events;
    this.#server = createServer((socket) => this.#take(socket));
  }

  get connections(): number {
    return this.#connections;
  }

  listen(host: string, port: number): Promise<{ port: number }> {
    return new Promise((resolve, reject) => {
      this.#server.once('error', reject);
      this.#server.listen({ host, port }, () => {
        this.#server.off('error', reject).on('error', (error) => this.#events.failed(error));
        const address = this.#server.address();
        resolve({ port: typeof address === 'object' && address !== null ? address.port : port });
      });
    });
  }

  /** Nobody comes in any more; who is in stays. */
  close(): void {
    this.#server.close();
  }

  #take(socket: Socket): void {
    const { remoteAddress: address = '', remotePort = 0 } = socket;
    const fromThere = this.#byAddress.get(address) ?? 0;
    const limit = this.#reached(fromThere);
    if (limit !== undefined) {
      socket.destroy();
      this.#events.turnedAway(`${address}:${remotePort}`, limit);
      return;
    }
    this.#connections += 1;
    this.#byAddress.set(address, fromThere + 1);
    socket.once('close', () => this.#leave(address));
    this.#events.letIn(socket);
  }

  #reached(fromThere: number): keyof ClientPortLimits | undefined {
    const { maxConnections, maxConnectionsPerAddress } = this.#limits;
    if (fromThere >= maxConnectionsPerAddress) return 'maxConnectionsPerAddress';
    return this.#connections >= maxConnections ? 'maxConnections' : undefined;
  }

  #leave(address: string): void {
    this.#connections -= 1;
    const left = this.#byAddress.get(address)! - 1;
    if (left === 0) this.#byAddress.delete(address);
    else this.#byAddress.set(address, left);
  }
}
