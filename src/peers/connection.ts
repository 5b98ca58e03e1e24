import type { Socket } from 'node:net';
import type { Frame } from './frame.ts';
import { FRAME_HEADER_BYTES, FrameReader, FrameType } from './frame.ts';
import type { FrameWriter } from './frame-writer.ts';
import { MalformedFrameError } from './malformed.ts';
import type { OutboxItem, OutboxLimits } from './outbox.ts';
import { Outbox } from './outbox.ts';

/** A frame without content. */
class EmptyFrameItem implements OutboxItem {
  readonly bytes = FRAME_HEADER_BYTES;
  readonly #type: FrameType;

  constructor(type: FrameType) {
    this.#type = type;
  }

  writeTo(writer: FrameWriter): void {
    writer.begin(0);
    writer.endHead();
    writer.end(this.#type);
  }
}

const PING = new EmptyFrameItem(FrameType.ping);
const PONG = new EmptyFrameItem(FrameType.pong);
const TCP_KEEPALIVE_MS = 10_000;

export interface ConnectionEvents {
  /** Every frame but the keepalive's. A `MalformedFrameError` thrown here closes the connection. */
  onFrame(frame: Frame): void;
  /** Exactly once. `malformed` = closed because of what the other side sent. */
  onClosed(reason: string, malformed: boolean): void;
}

/** A socket with frames on it, from its first byte to its close. */
export class Connection {
  readonly outbox: Outbox;
  readonly #socket: Socket;
  readonly #reader: FrameReader;
  readonly #events: ConnectionEvents;
  readonly #writer: FrameWriter;
  #open = true;
  #bytesIn = 0;
  #greeted = false;
  #error: Error | undefined;
  /** What had moved at the last look of the keepalive. */
  #seenBytesIn = 0;
  #seenWrites = 0;
  #silentMs = 0;

  /** Until `greeted`, frames are at most `maxHandshakeBytes` long. */
  constructor(
    socket: Socket,
    writer: FrameWriter,
    limits: OutboxLimits,
    maxHandshakeBytes: number,
    events: ConnectionEvents,
  ) {
    this.#socket = socket;
    this.#writer = writer;
    this.#events = events;
    this.outbox = new Outbox(socket, writer, limits);
    this.#reader = new FrameReader(maxHandshakeBytes, (frame) => this.#received(frame));
    socket.setNoDelay(true);
    socket.setKeepAlive(true, TCP_KEEPALIVE_MS);
    socket.on('data', (chunk) => this.#data(chunk));
    socket.on('error', (error) => {
      this.#error = error;
    });
    // The peer's process is gone or going: waiting for the rest of the close would cost time.
    socket.on('end', () => this.close('closed by the peer'));
    socket.on('close', () => this.close(this.#error?.message ?? 'closed'));
  }

  get isOpen(): boolean {
    return this.#open;
  }

  /** The handshake is over. */
  greeted(maxFrameBytes: number): void {
    this.#greeted = true;
    this.#reader.allow(maxFrameBytes);
  }

  /** The handshake's way: at once and past the queue. */
  writeNow(write: (writer: FrameWriter) => void): void {
    write(this.#writer);
    for (const piece of this.#writer.take()) this.#socket.write(piece);
  }

  close(reason: string, malformed = false): void {
    if (!this.#open) return;
    this.#end();
    this.#socket.destroy();
    this.#events.onClosed(reason, malformed);
  }

  /** Like `close`, but what was written is delivered, if the other side reads it in time. */
  closeAfterWrites(reason: string, lingerMs: number): void {
    if (!this.#open) return;
    this.#end();
    const timer = setTimeout(() => this.#socket.destroy(), lingerMs);
    this.#socket.once('close', () => clearTimeout(timer));
    this.#socket.end();
    this.#events.onClosed(reason, false);
  }

  ping(): void {
    if (this.outbox.hasRoomFor(PING.bytes)) this.outbox.push(PING);
  }

  /** One look of the keepalive; closes a connection on which nothing has moved for too long. */
  checkSilence(elapsedMs: number, maxSilenceMs: number): void {
    const { writes } = this.outbox;
    const waiting = this.outbox.queuedBytes > 0;
    const moved = this.#bytesIn !== this.#seenBytesIn || (waiting && writes !== this.#seenWrites);
    this.#seenBytesIn = this.#bytesIn;
    this.#seenWrites = writes;
    this.#silentMs = moved ? 0 : this.#silentMs + elapsedMs;
    if (this.#silentMs >= maxSilenceMs) this.close(`silent for ${this.#silentMs} ms`);
  }

  #end(): void {
    this.#open = false;
    this.#reader.stop();
    this.outbox.close();
  }

  #data(chunk: Buffer): void {
    this.#bytesIn += chunk.length;
    try {
      this.#reader.push(chunk);
    } catch (error) {
      if (!(error instanceof MalformedFrameError)) throw error;
      const tls = !this.#greeted && isTlsHello(chunk);
      this.close(tls ? 'it speaks TLS, and this node has no tls.peer' : error.message, true);
    }
  }

  #received(frame: Frame): void {
    if (!this.#greeted || (frame.type !== FrameType.ping && frame.type !== FrameType.pong)) {
      this.#events.onFrame(frame);
    } else if (frame.type === FrameType.ping && this.outbox.hasRoomFor(PONG.bytes)) {
      this.outbox.push(PONG);
    }
  }
}

/** A record of the type `handshake`, of any version of TLS. */
function isTlsHello(bytes: Buffer): boolean {
  return bytes[0] === 0x16 && bytes[1] === 3;
}
