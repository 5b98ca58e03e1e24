/**
 * Frames: what a connection between nodes is cut into (all numbers little endian).
 *
 *   u32 crc | u32 length | u8 type | u24 headLength | head … | bulk …
 *             `length` counts head and bulk
 *
 * The CRC covers everything after it up to the end of the head, and the bulk as well, except in
 * `messages` frames, where every entry's body has a CRC of its own that the leader computed.
 */
import assert from 'node:assert';
import { crc32 } from 'node:zlib';
import { continueCrc } from '../../storage/crc.ts';
import { MalformedFrameError } from './malformed.ts';

export const FRAME_HEADER_BYTES = 12;
export const MAX_HEAD_BYTES = 2 ** 24 - 1;

/** On the wire: never renumber. */
export const FrameType = {
  hello: 1,
  welcome: 2,
  refusal: 3,
  messages: 4,
  call: 5,
  answer: 6,
  cancel: 7,
  ping: 8,
  pong: 9,
} as const;
export type FrameType = (typeof FrameType)[keyof typeof FrameType];

const LAST_TYPE = Math.max(...Object.values(FrameType));

/** A complete frame whose CRC was right. `bytes` may be a view of a bigger read buffer. */
export interface Frame {
  readonly type: FrameType;
  readonly bytes: Buffer;
  /** The head is `bytes` from FRAME_HEADER_BYTES to here; the bulk is the rest. */
  readonly headEnd: number;
}

function isFrameType(type: number): type is FrameType {
  return type >= 1 && type <= LAST_TYPE;
}

/**
 * Fills in the header of a frame whose head is in place. The CRC covers the target up to
 * `checkedEnd`, then `checkedRest` (a body that lies elsewhere).
 */
export function sealFrame(
  target: Buffer,
  at: number,
  fields: { readonly type: FrameType; readonly headLength: number; readonly bulkLength: number },
  checkedEnd: number,
  checkedRest: Uint8Array | undefined,
): void {
  assert(fields.headLength <= MAX_HEAD_BYTES, 'head too long for its length field');
  target.writeUInt32LE(fields.headLength + fields.bulkLength, at + 4);
  target.writeUInt32LE(fields.headLength * 256 + fields.type, at + 8);
  const crc = crc32(target.subarray(at + 4, checkedEnd));
  target.writeUInt32LE(checkedRest === undefined ? crc : continueCrc(crc, checkedRest), at);
}

function checkFrame(bytes: Buffer): Frame {
  const word = bytes.readUInt32LE(8);
  const type = word & 0xff;
  const headEnd = FRAME_HEADER_BYTES + (word >>> 8);
  if (!isFrameType(type)) throw new MalformedFrameError(`unknown frame type ${type}`);
  if (headEnd > bytes.length) throw new MalformedFrameError('head longer than its frame');
  const checkedEnd = type === FrameType.messages ? headEnd : bytes.length;
  if (crc32(bytes.subarray(4, checkedEnd)) !== bytes.readUInt32LE(0)) {
    throw new MalformedFrameError('frame CRC does not match');
  }
  return { type, bytes, headEnd };
}

/**
 * Cuts a byte stream into frames. A frame inside one chunk is handed out as a view of it; one that
 * spans chunks is copied once, into a buffer of its exact size.
 */
export class FrameReader {
  readonly #onFrame: (frame: Frame) => void;
  #maxFrameBytes: number;
  readonly #header = Buffer.allocUnsafe(FRAME_HEADER_BYTES);
  #headerFilled = 0;
  #partial: Buffer | undefined;
  #partialFilled = 0;
  #stopped = false;

  /** `onFrame` may call `stop` or `allow`: what follows in the chunk obeys at once. */
  constructor(maxFrameBytes: number, onFrame: (frame: Frame) => void) {
    this.#maxFrameBytes = maxFrameBytes;
    this.#onFrame = onFrame;
  }

  /** Sets the limit of the frames to come (it grows when the handshake is over). */
  allow(maxFrameBytes: number): void {
    this.#maxFrameBytes = maxFrameBytes;
  }

  /** Nothing is handed out any more. */
  stop(): void {
    this.#stopped = true;
    this.#partial = undefined;
  }

  /** Throws a `MalformedFrameError`, after which the reader must not be used. */
  push(chunk: Buffer): void {
    let at = 0;
    while (at < chunk.length && !this.#stopped) {
      if (this.#partial !== undefined) at = this.#fill(this.#partial, chunk, at);
      else if (this.#headerFilled > 0) at = this.#fillHeader(chunk, at);
      else at = this.#next(chunk, at);
    }
  }

  #next(chunk: Buffer, at: number): number {
    if (chunk.length - at < FRAME_HEADER_BYTES) return this.#fillHeader(chunk, at);
    const end = at + this.#frameBytes(chunk, at);
    if (end > chunk.length) return this.#fill(this.#begin(chunk, at), chunk, at);
    this.#onFrame(checkFrame(chunk.subarray(at, end)));
    return end;
  }

  #fillHeader(chunk: Buffer, at: number): number {
    const end = Math.min(chunk.length, at + FRAME_HEADER_BYTES - this.#headerFilled);
    chunk.copy(this.#header, this.#headerFilled, at, end);
    this.#headerFilled += end - at;
    if (this.#headerFilled < FRAME_HEADER_BYTES) return end;
    this.#headerFilled = 0;
    const partial = this.#begin(this.#header, 0);
    this.#header.copy(partial);
    this.#partialFilled = FRAME_HEADER_BYTES;
    return this.#fill(partial, chunk, end);
  }

  #begin(header: Buffer, at: number): Buffer {
    this.#partial = Buffer.allocUnsafeSlow(this.#frameBytes(header, at));
    this.#partialFilled = 0;
    return this.#partial;
  }

  #fill(partial: Buffer, chunk: Buffer, at: number): number {
    const end = Math.min(chunk.length, at + partial.length - this.#partialFilled);
    chunk.copy(partial, this.#partialFilled, at, end);
    this.#partialFilled += end - at;
    if (this.#partialFilled === partial.length) {
      this.#partial = undefined;
      this.#onFrame(checkFrame(partial));
    }
    return end;
  }

  #frameBytes(source: Buffer, at: number): number {
    const bytes = FRAME_HEADER_BYTES + source.readUInt32LE(at + 4);
    if (bytes > this.#maxFrameBytes) throw new MalformedFrameError(`frame of ${bytes} bytes`);
    return bytes;
  }
}
