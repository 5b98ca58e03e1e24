/**
 * Turns frames into as few buffers as one vectored write needs. Heads and small bodies are written
 * one after the other into scratch memory; big bodies are referenced, never copied. Scratch memory
 * is used once: what was handed out stays as it is while the socket may still read it.
 */
import assert from 'node:assert';
import type { FrameType } from './frame.ts';
import { FRAME_HEADER_BYTES, sealFrame } from './frame.ts';

const SCRATCH_BYTES = 64 * 1024;
/** Below this a copy is cheaper than one more piece of a vectored write. */
export const COPY_BELOW_BYTES = 2_048;
export const MAX_VARINT_BYTES = 8;

export class FrameWriter {
  #scratch: Buffer = Buffer.alloc(0);
  /** The next free byte of the scratch memory. */
  #at = 0;
  /** From here on the scratch memory is not yet in `#pieces`. */
  #pieceAt = 0;
  #pieces: Uint8Array[] = [];
  #bytes = 0;
  #frame: Buffer = this.#scratch;
  #frameAt = 0;
  #headEnd = 0;
  #bulkBytes = 0;

  /** Bytes written since the last `take`. */
  get bytes(): number {
    return this.#bytes;
  }

  /** What was written since the last call, in order. */
  take(): Uint8Array[] {
    this.#closePiece();
    const pieces = this.#pieces;
    this.#pieces = [];
    this.#bytes = 0;
    return pieces;
  }

  /** Opens a frame; at most `maxBytes` may be written before `endHead`. */
  begin(maxBytes: number): void {
    this.#ensure(FRAME_HEADER_BYTES + maxBytes);
    this.#frame = this.#scratch;
    this.#frameAt = this.#at;
    this.#at += FRAME_HEADER_BYTES;
    this.#bulkBytes = 0;
  }

  endHead(): void {
    this.#headEnd = this.#at;
  }

  /** Adds a body after `endHead`. */
  bulk(bytes: Uint8Array): void {
    if (bytes.length === 0) return;
    this.#bulkBytes += bytes.length;
    if (bytes.length < COPY_BELOW_BYTES) {
      this.#ensure(bytes.length);
      this.#scratch.set(bytes, this.#at);
      this.#at += bytes.length;
    } else {
      this.#closePiece();
      this.#pieces.push(bytes);
    }
  }

  /** Closes a frame whose CRC covers its head only. */
  end(type: FrameType): void {
    this.#seal(type, this.#headEnd, undefined);
  }

  /** Closes a frame after adding a body that its CRC covers as well. */
  endWithBody(type: FrameType, body: Uint8Array): void {
    this.endHead();
    this.bulk(body);
    const contiguous =
      this.#scratch === this.#frame && this.#at === this.#headEnd + this.#bulkBytes;
    if (contiguous) this.#seal(type, this.#at, undefined);
    else this.#seal(type, this.#headEnd, body);
  }

  #seal(type: FrameType, checkedEnd: number, checkedRest: Uint8Array | undefined): void {
    const headLength = this.#headEnd - this.#frameAt - FRAME_HEADER_BYTES;
    assert(headLength >= 0, 'frame ended before its head');
    const bulkLength = this.#bulkBytes;
    const fields = { type, headLength, bulkLength };
    sealFrame(this.#frame, this.#frameAt, fields, checkedEnd, checkedRest);
    this.#bytes += FRAME_HEADER_BYTES + headLength + bulkLength;
  }

  u8(value: number): void {
    this.#scratch[this.#at++] = value;
  }

  u32(value: number): void {
    this.#at = this.#scratch.writeUInt32LE(value, this.#at);
  }

  varint(value: number): void {
    assert(Number.isSafeInteger(value) && value >= 0, 'not a safe natural number');
    const scratch = this.#scratch;
    let rest = value;
    while (rest >= 0x10000000) {
      scratch[this.#at++] = (rest % 128) + 128;
      rest = Math.floor(rest / 128);
    }
    while (rest >= 0x80) {
      scratch[this.#at++] = (rest & 0x7f) | 0x80;
      rest >>>= 7;
    }
    scratch[this.#at++] = rest;
  }

  /** `bytes` must be the text's length in UTF-8. */
  text(text: string, bytes: number): void {
    this.varint(bytes);
    if (bytes > 0) this.#at += this.#scratch.write(text, this.#at, bytes, 'utf8');
  }

  /** Skips `bytes` bytes of the head, to be filled in `scratch` by the caller; returns where. */
  reserve(bytes: number): number {
    const at = this.#at;
    this.#at += bytes;
    return at;
  }

  get scratch(): Buffer {
    return this.#scratch;
  }

  #ensure(bytes: number): void {
    if (this.#scratch.length - this.#at >= bytes) return;
    this.#closePiece();
    this.#scratch = Buffer.allocUnsafeSlow(Math.max(SCRATCH_BYTES, bytes));
    this.#at = 0;
    this.#pieceAt = 0;
  }

  #closePiece(): void {
    if (this.#at > this.#pieceAt)
      this.#pieces.push(this.#scratch.subarray(this.#pieceAt, this.#at));
    this.#pieceAt = this.#at;
  }
}
