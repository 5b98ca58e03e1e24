/**
 * The one binary notation of the broker: unsigned varints (7 bits a byte, low bits first, up to
 * 2^53 - 1), length-prefixed UTF-8, and big-endian integers in keys, so that keys sort as numbers.
 */
import assert from 'node:assert';

const UINT_BYTES_MAX = 8;
const TWO_POW_32 = 2 ** 32;

/** Bytes that are not what this version writes: damage, or a newer version's. */
export class FormatError extends Error {
  override readonly name = 'FormatError';
}

export class ByteWriter {
  #bytes: Buffer;
  #length = 0;

  constructor(capacityBytes = 64) {
    this.#bytes = Buffer.allocUnsafe(capacityBytes);
  }

  u8(value: number): this {
    assert(value >= 0 && value <= 0xff);
    this.#reserve(1);
    this.#bytes[this.#length++] = value;
    return this;
  }

  uint(value: number): this {
    assert(value >= 0 && Number.isSafeInteger(value));
    this.#reserve(UINT_BYTES_MAX);
    const bytes = this.#bytes;
    let at = this.#length;
    let rest = value;
    while (rest > 0x7fffffff) {
      bytes[at++] = (rest % 128) | 128;
      rest = Math.floor(rest / 128);
    }
    while (rest > 0x7f) {
      bytes[at++] = (rest & 0x7f) | 128;
      rest >>>= 7;
    }
    bytes[at++] = rest;
    this.#length = at;
    return this;
  }

  text(value: string): this {
    const size = Buffer.byteLength(value);
    this.uint(size);
    return this.#utf8(value, size);
  }

  /** Without its length: only as the end of a key. */
  textToEnd(value: string): this {
    return this.#utf8(value, Buffer.byteLength(value));
  }

  /** What `other` holds from `from` on, as it is. */
  append(other: ByteWriter, from: number): this {
    this.#reserve(other.#length - from);
    this.#length += other.#bytes.copy(this.#bytes, this.#length, from, other.#length);
    return this;
  }

  u32be(value: number): this {
    assert(Number.isInteger(value) && value >= 0 && value < TWO_POW_32);
    this.#reserve(4);
    this.#bytes.writeUInt32BE(value, this.#length);
    this.#length += 4;
    return this;
  }

  u64be(value: number): this {
    assert(Number.isSafeInteger(value) && value >= 0);
    return this.u32be(Math.floor(value / TWO_POW_32)).u32be(value % TWO_POW_32);
  }

  /** Reads what was written so far, from `from` on. */
  reader(from: number): ByteReader {
    return new ByteReader(this.#bytes, from, this.#length);
  }

  /** A view: of memory that nothing writes to again. */
  finish(): Uint8Array {
    return this.#bytes.subarray(0, this.#length);
  }

  /** A copy: for what is kept long and must not pin a larger buffer. */
  finishCopy(): Uint8Array {
    return new Uint8Array(this.finish());
  }

  #utf8(value: string, size: number): this {
    this.#reserve(size);
    this.#bytes.write(value, this.#length, size, 'utf8');
    this.#length += size;
    return this;
  }

  #reserve(size: number): void {
    if (this.#length + size <= this.#bytes.length) return;
    const grown = Buffer.allocUnsafe(Math.max(this.#bytes.length * 2, this.#length + size));
    this.#bytes.copy(grown, 0, 0, this.#length);
    this.#bytes = grown;
  }
}

export class ByteReader {
  readonly #bytes: Uint8Array;
  readonly #end: number;
  #at: number;

  constructor(bytes: Uint8Array, from = 0, end = bytes.length) {
    this.#bytes = bytes;
    this.#end = end;
    this.#at = from;
  }

  get position(): number {
    return this.#at;
  }

  get remaining(): number {
    return this.#end - this.#at;
  }

  u8(): number {
    if (this.#at >= this.#end) throw new FormatError('cut short');
    return this.#bytes[this.#at++]!;
  }

  uint(): number {
    let byte = this.u8();
    if (byte < 128) return byte;
    let value = byte & 0x7f;
    let scale = 128;
    for (let length = 2; length <= UINT_BYTES_MAX; length += 1) {
      byte = this.u8();
      value += (byte & 0x7f) * scale;
      if (byte < 128) {
        if (byte === 0 || !Number.isSafeInteger(value)) throw new FormatError('bad integer');
        return value;
      }
      scale *= 128;
    }
    throw new FormatError('integer too long');
  }

  /** The length of a list whose elements take at least one byte each. */
  listLength(): number {
    const length = this.uint();
    if (length > this.remaining) throw new FormatError('list longer than its bytes');
    return length;
  }

  text(): string {
    return this.#utf8(this.uint());
  }

  textToEnd(): string {
    return this.#utf8(this.remaining);
  }

  u32be(): number {
    return this.u8() * 2 ** 24 + (this.u8() << 16) + (this.u8() << 8) + this.u8();
  }

  u64be(): number {
    const value = this.u32be() * TWO_POW_32 + this.u32be();
    if (!Number.isSafeInteger(value)) throw new FormatError('integer over 2^53');
    return value;
  }

  expectEnd(): void {
    if (this.remaining !== 0) throw new FormatError(`${this.remaining} bytes too many`);
  }

  #utf8(size: number): string {
    if (size > this.remaining) throw new FormatError('text cut short');
    const from = this.#at;
    this.#at += size;
    const { buffer, byteOffset } = this.#bytes;
    return Buffer.from(buffer, byteOffset + from, size).toString('utf8');
  }
}

/** Opens a value row: its first byte is the version of the table's format. */
export function readVersioned(value: Uint8Array, version: number): ByteReader {
  const reader = new ByteReader(value);
  const found = reader.u8();
  if (found !== version) throw new FormatError(`version ${found} is not known here`);
  return reader;
}
