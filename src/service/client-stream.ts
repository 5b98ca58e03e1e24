/** A stream that a client opened: its events, whether it takes more, and its one end. */
import { Metadata } from '@grpc/grpc-js';
import type { CallError } from '../status.ts';
import { stopping } from './admission.ts';
import { failStream, type RawDuplex, type RawWritable } from './grpc-calls.ts';

export interface StreamOwner {
  /** A frame of the client's; never after the end. */
  receive(frame: Buffer): void;
  /** Whether a client that sends no more has all that it asked for. */
  isDone(): boolean;
  /** What was written has left: there is room again. */
  drained(): void;
  /** Once, whatever ended the stream: nothing is to be held for it any more. */
  closed(): void;
}

export class ClientStream {
  readonly #stream: RawDuplex | RawWritable;
  readonly #owner: StreamOwner;
  #writable = true;
  #halfClosed = false;
  #closed = false;

  constructor(stream: RawDuplex | RawWritable, owner: StreamOwner) {
    this.#stream = stream;
    this.#owner = owner;
    stream.on('cancelled', () => this.#close());
    stream.on('drain', () => {
      this.#writable = true;
      if (!this.#closed) owner.drained();
    });
    if ('pause' in stream) this.#listen(stream);
  }

  get closed(): boolean {
    return this.#closed;
  }

  /** Whether another frame would be sent soon, rather than wait in memory. */
  get writable(): boolean {
    return this.#writable;
  }

  /** Headers now, not with the first frame: the client sees that it was taken on. */
  accept(): void {
    this.#stream.sendMetadata(new Metadata());
  }

  /** `sent` is called when the frame has left this process's memory. */
  write(frame: Buffer, sent?: () => void): void {
    if (!this.#stream.write(frame, sent)) this.#writable = false;
  }

  endIfDone(): void {
    if (!this.#halfClosed || this.#closed || !this.#owner.isDone()) return;
    this.#close();
    this.#stream.end();
  }

  fail(error: CallError): void {
    if (this.#closed) return;
    this.#close();
    failStream(this.#stream, error);
  }

  /** The node is going down: what has no answer yet is unknown to the client. */
  stop(): void {
    this.fail(stopping());
  }

  #listen(stream: RawDuplex): void {
    stream.on('data', (frame: Buffer) => {
      if (!this.#closed) this.#owner.receive(frame);
    });
    stream.on('end', () => {
      this.#halfClosed = true;
      this.endIfDone();
    });
  }

  #close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#owner.closed();
  }
}
