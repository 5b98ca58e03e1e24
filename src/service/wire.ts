/**
 * Protobuf's wire format, as much of it as the hot calls need: a reader that walks tags and
 * lengths without building anything, and a writer into a buffer of known size.
 */
import { isUtf8 } from 'node:buffer';
import { CallError } from '../status.ts';

export const WireType = { varint: 0, fixed64: 1, bytes: 2, fixed32: 5 } as const;

const malformed = (what: string): CallError =>
  new CallError('MALFORMED_REQUEST', `malformed request: ${what}`);

/** A Buffer over the same memory (a Uint8Array lacks the fast text and copy methods). */
export function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.isBuffer(bytes)
    ? bytes
    : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

/** Walks `bytes` from `position` to `end`; every step throws MALFORMED_REQUEST past the end. */
export class WireReader {
  readonly bytes: Buffer;
  position: number;
  end: number;

  constructor(bytes: Uint8Array, position = 0, end = bytes.length) {
    this.bytes = asBuffer(bytes);
    this.position = position;
    this.end = end;
  }

  /** Exact up to 2^53, rounded above; negative for a negative int64 or int32. */
  varint(): number {
    const first = this.byte();
    if (first < 0x80) return first;
    let low = first & 0x7f;
    let high = 0;
    for (let shift = 7; shift < 70; shift += 7) {
      const byte = this.byte();
      const bits = byte & 0x7f;
      if (shift < 28) low |= bits << shift;
      else if (shift === 28) {
        low = (low | (bits << 28)) >>> 0;
        high = bits >>> 4;
      } else high = (high | (bits << (shift - 32))) >>> 0;
      if (byte < 0x80) return toNumber(low >>> 0, high);
    }
    throw malformed('a number of more than ten bytes');
  }

  /** Length of a length-delimited field; asserts that the field ends inside. */
  length(): number {
    const length = this.varint();
    if (length < 0 || length > this.end - this.position) throw malformed('a field ends too late');
    return length;
  }

  text(): string {
    const length = this.length();
    const start = this.position;
    this.position += length;
    if (!isText(this.bytes, start, this.position)) throw malformed('text that is not UTF-8');
    return this.bytes.toString('utf8', start, this.position);
  }

  /** The field's bytes: the same memory. */
  slice(): Buffer {
    const length = this.length();
    const start = this.position;
    this.position += length;
    return this.bytes.subarray(start, this.position);
  }

  skip(wireType: number): void {
    switch (wireType) {
      case WireType.varint:
        this.varint();
        return;
      case WireType.fixed64:
        this.advance(8);
        return;
      case WireType.bytes:
        this.advance(this.length());
        return;
      case WireType.fixed32:
        this.advance(4);
        return;
      default:
        throw malformed(`wire type ${wireType}`);
    }
  }

  advance(count: number): void {
    if (count > this.end - this.position) throw malformed('it ends in the middle of a field');
    this.position += count;
  }

  private byte(): number {
    if (this.position >= this.end) throw malformed('it ends in the middle of a field');
    return this.bytes[this.position++]!;
  }
}

function toNumber(low: number, high: number): number {
  // The product is exact, so that the sum is the only step that rounds.
  return (high | 0) * 0x1_0000_0000 + low;
}

/** Strings must be UTF-8, or a reader's strict stub could not decode what we stored. */
export function isText(bytes: Buffer, start: number, end: number): boolean {
  for (let at = start; at < end; at += 1) {
    if (bytes[at]! >= 0x80) return isUtf8(bytes.subarray(at, end));
  }
  return true;
}

export function varintSize(value: number): number {
  let size = 1;
  for (let rest = value; rest >= 0x80; rest = Math.floor(rest / 0x80)) size += 1;
  return size;
}

/** Size of a varint field that is left out when 0 (proto3's default). */
export function fieldSize(tagSize: number, value: number): number {
  return value === 0 ? 0 : tagSize + varintSize(value);
}

/** Size of a length-delimited field. */
export function bytesFieldSize(tagSize: number, length: number): number {
  return tagSize + varintSize(length) + length;
}

/** Writes into a buffer that its user sized exactly. */
export class WireWriter {
  readonly bytes: Buffer;
  position = 0;

  constructor(size: number) {
    this.bytes = Buffer.allocUnsafe(size);
  }

  varint(value: number): void {
    let rest = value;
    while (rest >= 0x80) {
      this.bytes[this.position++] = (rest % 0x80) | 0x80;
      rest = Math.floor(rest / 0x80);
    }
    this.bytes[this.position++] = rest;
  }

  tag(field: number, wireType: number): void {
    this.varint(field * 8 + wireType);
  }

  /** A number field; left out when 0. */
  number(field: number, value: number): void {
    if (value !== 0) this.optionalNumber(field, value);
  }

  /** A number field with presence: written even when 0. */
  optionalNumber(field: number, value: number): void {
    this.tag(field, WireType.varint);
    this.varint(value);
  }

  /** ASCII text; left out when empty. */
  ascii(field: number, text: string): void {
    if (text.length === 0) return;
    this.tag(field, WireType.bytes);
    this.varint(text.length);
    this.position += this.bytes.write(text, this.position, 'latin1');
  }

  /** UTF-8 text whose encoded length is known; left out when empty. */
  text(field: number, text: string, encodedLength: number): void {
    if (encodedLength === 0) return;
    this.tag(field, WireType.bytes);
    this.varint(encodedLength);
    this.position += this.bytes.write(text, this.position, 'utf8');
  }

  /** Header of an embedded message of `length` bytes. */
  message(field: number, length: number): void {
    this.tag(field, WireType.bytes);
    this.varint(length);
  }

  raw(bytes: Uint8Array): void {
    this.bytes.set(bytes, this.position);
    this.position += bytes.length;
  }

  /** What was written; may be less than the size given when that was an upper bound. */
  done(): Buffer {
    return this.position === this.bytes.length ? this.bytes : this.bytes.subarray(0, this.position);
  }
}
