/**
 * The port of one node of a test cluster. It stays the node's while its process is down: then
 * whoever comes is shut out at once, and so is whoever was in, without a word.
 */
import { type AddressInfo, createServer, type Socket } from 'node:net';

const HOST = '127.0.0.1';

export class TestDoor {
  readonly #server = createServer((socket) => this.#came(socket));
  readonly #inside = new Set<Socket>();
  #letIn: ((socket: Socket) => void) | undefined;

  /** Resolves with the port, which is the same each time. */
  async open(letIn: (socket: Socket) => void): Promise<{ port: number }> {
    this.#letIn = letIn;
    if (!this.#server.listening) {
      await new Promise<void>((resolve, reject) => {
        this.#server.once('error', reject);
        this.#server.listen(0, HOST, () => resolve());
      });
    }
    return { port: this.port };
  }

  get host(): string {
    return HOST;
  }

  /** Once it was open. */
  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  shut(): void {
    this.#letIn = undefined;
    for (const socket of this.#inside) socket.destroy();
    this.#inside.clear();
  }

  /** For good. */
  remove(): Promise<void> {
    this.shut();
    return new Promise((resolve) => this.#server.close(() => resolve()));
  }

  #came(socket: Socket): void {
    if (this.#letIn === undefined) {
      socket.destroy();
      return;
    }
    this.#inside.add(socket);
    socket.once('close', () => this.#inside.delete(socket));
    this.#letIn(socket);
  }
}
