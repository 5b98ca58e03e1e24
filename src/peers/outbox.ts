import type { FrameWriter } from './frame-writer.ts';

/** What waits to be written. It becomes bytes only when its turn comes. */
export interface OutboxItem {
  /** Upper bound of what `writeTo` adds. */
  readonly bytes: number;
  /** May add nothing: what was cancelled while it waited has provably not been sent. */
  writeTo(writer: FrameWriter): void;
}

/** The part of a `net.Socket` that is written to. */
export interface OutboxSocket {
  cork(): void;
  uncork(): void;
  write(bytes: Uint8Array, written?: () => void): boolean;
}

export interface OutboxLimits {
  readonly maxQueuedBytes: number;
  readonly maxFlushBytes: number;
}

/**
 * The sending side of one connection: a bounded queue and at most one vectored write at a time.
 * What is pushed while a write is under way leaves together with the next one, so a slow link makes
 * bigger writes instead of more of them.
 */
export class Outbox {
  readonly #socket: OutboxSocket;
  readonly #writer: FrameWriter;
  readonly #limits: OutboxLimits;
  #items: OutboxItem[] = [];
  #waitingBytes = 0;
  #writingBytes = 0;
  #microtaskDue = false;
  #immediateDue = false;
  /** A flush was asked for while a write was under way. */
  #flushDue = false;
  #closed = false;
  /** Completed writes: tells a slow connection from a dead one. */
  writes = 0;

  /** `writer` may be shared: it is only used inside one synchronous flush. */
  constructor(socket: OutboxSocket, writer: FrameWriter, limits: OutboxLimits) {
    this.#socket = socket;
    this.#writer = writer;
    this.#limits = limits;
  }

  /** Bytes that wait or are being written. */
  get queuedBytes(): number {
    return this.#waitingBytes + this.#writingBytes;
  }

  hasRoomFor(bytes: number): boolean {
    return !this.#closed && this.queuedBytes + bytes <= this.#limits.maxQueuedBytes;
  }

  /** To be written at the end of the running callback: together with all it still pushes. */
  push(item: OutboxItem): void {
    this.#add(item);
    if (this.#microtaskDue || this.#closed) return;
    this.#microtaskDue = true;
    queueMicrotask(() => {
      this.#microtaskDue = false;
      this.#flush();
    });
  }

  /** To be written at the end of the event-loop turn: together with what other callbacks push. */
  pushLater(item: OutboxItem): void {
    this.#add(item);
    if (this.#immediateDue || this.#closed) return;
    this.#immediateDue = true;
    setImmediate(() => {
      this.#immediateDue = false;
      this.#flush();
    });
  }

  /** Drops what waits; nothing is written any more. */
  close(): void {
    this.#closed = true;
    this.#items = [];
    this.#waitingBytes = 0;
    this.#writingBytes = 0;
  }

  #add(item: OutboxItem): void {
    if (this.#closed) return;
    this.#items.push(item);
    this.#waitingBytes += item.bytes;
  }

  #flush(): void {
    if (this.#closed || this.#items.length === 0) return;
    if (this.#writingBytes > 0) {
      this.#flushDue = true;
      return;
    }
    const writer = this.#writer;
    let taken = 0;
    for (; taken < this.#items.length && writer.bytes < this.#limits.maxFlushBytes; taken += 1) {
      const item = this.#items[taken] as OutboxItem;
      this.#waitingBytes -= item.bytes;
      item.writeTo(writer);
    }
    this.#items = taken === this.#items.length ? [] : this.#items.slice(taken);
    this.#flushDue = this.#items.length > 0;
    if (writer.bytes > 0) this.#write(writer.bytes, writer.take());
  }

  #write(bytes: number, pieces: readonly Uint8Array[]): void {
    this.#writingBytes = bytes;
    const written = (): void => this.#written();
    const last = pieces.length - 1;
    if (last === 0) {
      this.#socket.write(pieces[0] as Uint8Array, written);
      return;
    }
    this.#socket.cork();
    for (let i = 0; i < last; i += 1) this.#socket.write(pieces[i] as Uint8Array);
    this.#socket.write(pieces[last] as Uint8Array, written);
    this.#socket.uncork();
  }

  #written(): void {
    if (this.#closed) return;
    this.writes += 1;
    this.#writingBytes = 0;
    if (this.#flushDue) this.#flush();
  }
}
