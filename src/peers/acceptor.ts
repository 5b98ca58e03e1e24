import type { Server, Socket } from 'node:net';
import type { ConnectionEvents } from './connection.ts';
import { Connection } from './connection.ts';
import type { PeerContext } from './context.ts';
import { maxFrameBytes, outboxLimits } from './context.ts';
import type { Frame } from './frame.ts';
import { FrameType } from './frame.ts';
import type { Greeting, Refusal } from './handshake.ts';
import {
  ConnectionKind,
  greetingOf,
  readGreeting,
  writeGreeting,
  writeRefusal,
} from './handshake.ts';
import { MalformedFrameError } from './malformed.ts';
import type { HostPort, PeerProof } from './transport.ts';
import { originOf } from './transport.ts';

const REFUSAL_LINGER_MS = 250;

/** Takes over a connection whose greeting was accepted; its frames and its end go to the result. */
export type Admit = (connection: Connection, greeting: Greeting) => ConnectionEvents;

/**
 * The listening side: reads one small greeting from whoever connects, within a bounded time and for
 * a bounded number at once, and hands over those that belong here.
 */
export class Acceptor {
  readonly #context: PeerContext;
  readonly #admit: Admit;
  readonly #server: Server;
  readonly #pending = new Set<Connection>();
  #listening = false;

  constructor(context: PeerContext, admit: Admit) {
    this.#context = context;
    this.#admit = admit;
    const events = {
      onConnection: (socket: Socket) => this.#connected(socket),
      onRefused: (from: string, refusal: Refusal) =>
        context.refusals.add('in', refusedFrom(from), refusal),
    };
    this.#server = context.transport.createServer(events, context.limits);
  }

  get pending(): number {
    return this.#pending.size;
  }

  listen(address: HostPort): Promise<HostPort> {
    return new Promise((resolve, reject) => {
      this.#server.once('error', reject);
      this.#server.listen({ host: address.host, port: address.port }, () => {
        this.#listening = true;
        this.#server.off('error', reject);
        this.#server.on('error', (error) => this.#context.logger.error(`peers: ${error.message}`));
        const bound = this.#server.address();
        const port = typeof bound === 'object' && bound !== null ? bound.port : address.port;
        resolve({ host: address.host, port });
      });
    });
  }

  /** Resolves when the port is free and every accepted connection is gone. */
  close(): Promise<void> {
    for (const connection of [...this.#pending]) connection.close('this node is stopping');
    if (!this.#listening) return Promise.resolve();
    this.#listening = false;
    return new Promise((resolve) => this.#server.close(() => resolve()));
  }

  #connected(socket: Socket): void {
    const { limits, writer, refusals, transport } = this.#context;
    const from = refusedFrom(originOf(socket));
    if (!this.#listening || this.#pending.size >= limits.maxPendingHandshakes) {
      socket.on('error', () => undefined);
      socket.destroy();
      const detail = `${this.#pending.size} others have not said who they are`;
      refusals.add('in', from, { reason: 'tooManyPending', detail });
      return;
    }
    // The kind is not known yet; only small frames are written before it is.
    const queue = outboxLimits(limits, ConnectionKind.bulk);
    const proof = transport.proofOf(socket);
    let admitted: ConnectionEvents | undefined;
    const connection = new Connection(socket, writer, queue, limits.maxHandshakeBytes, {
      onFrame: (frame) => {
        if (admitted !== undefined) {
          admitted.onFrame(frame);
          return;
        }
        admitted = this.#greeted(connection, proof, frame, from);
        if (admitted !== undefined || !connection.isOpen) this.#settle(connection, timer);
      },
      onClosed: (reason, malformed) => {
        this.#settle(connection, timer);
        if (malformed) refusals.add('in', from, { reason: 'malformed', detail: reason });
        admitted?.onClosed(reason, malformed);
      },
    });
    const timer = setTimeout(() => {
      refusals.add('in', from, { reason: 'timeout', detail: 'it did not say who it is' });
      connection.close('no greeting in time');
    }, limits.handshakeTimeoutMs);
    this.#pending.add(connection);
    // Whatever it would say: it may be anybody.
    if (proof !== undefined && 'refusal' in proof) this.#refuse(connection, proof.refusal, from);
  }

  #settle(connection: Connection, timer: NodeJS.Timeout): void {
    clearTimeout(timer);
    this.#pending.delete(connection);
  }

  #greeted(
    connection: Connection,
    proof: PeerProof | undefined,
    frame: Frame,
    from: string,
  ): ConnectionEvents | undefined {
    const { gatekeeper, identity, limits } = this.#context;
    if (frame.type !== FrameType.hello) throw new MalformedFrameError('no greeting');
    const greeting = readGreeting(frame);
    const refusal = gatekeeper.judge(greeting, proof);
    if (refusal !== undefined) {
      this.#refuse(connection, refusal, from);
      return undefined;
    }
    // First remembered, then welcomed: an older life is refused even if this node ends in between.
    gatekeeper.remember(greeting);
    const welcome = greetingOf(identity, greeting.node, greeting.kind);
    connection.writeNow((frames) => writeGreeting(frames, FrameType.welcome, welcome));
    connection.greeted(maxFrameBytes(limits, greeting.kind));
    return this.#admit(connection, greeting);
  }

  #refuse(connection: Connection, refusal: Refusal, from: string): void {
    this.#context.refusals.add('in', from, refusal);
    connection.writeNow((frames) => writeRefusal(frames, refusal));
    connection.closeAfterWrites(refusal.detail, REFUSAL_LINGER_MS);
  }
}

function refusedFrom(origin: string): string {
  return `refused a connection from ${origin}`;
}
