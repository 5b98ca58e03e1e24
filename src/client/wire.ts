/**
 * The protobuf wire format, as far as the hot messages need it: writing into a buffer at a
 * position, reading with a cursor. Cold calls use the generated codecs of @grpc/proto-loader.
 */
export const WireType = { varint: 0, fixed64: 1, bytes: 2, fixed32: 5 } as const;

const TWO_TO_28 = 0x10000000;

/** Bytes that a varint of this size takes; `value` is an integer from 0 to 2^53-1. */
export function varintSize(value: number): number {
  let size = 1;
  let rest = value;
  while (rest >= TWO_TO_28) {
    rest = Math.floor(rest / 128);
    size += 1;
  }
  if (rest < 0x80) return size;
  if (rest < 0x4000) return size + 1;
  return rest < 0x200000 ? size + 2 : size + 3;
}

/** Writes `value` (0 to 2^53-1); gives the position after it. */
export function writeVarint(into: Buffer, position: number, value: number): number {
  let at = position;
  let rest = value;
  while (rest >= TWO_TO_28) {
    into[at++] = (rest % 128) | 0x80;
    rest = Math.floor(rest / 128);
  }
  while (rest >= 0x80) {
    into[at++] = (rest & 0x7f) | 0x80;
    rest >>>= 7;
  }
  into[at++] = rest;
  return at;
}

/** Non-ASCII text takes the slow way; keys and tags are nearly always short ASCII. */
export function writeText(into: Buffer, position: number, text: string, bytes: number): number {
  if (bytes !== text.length || bytes > 48) {
    into.write(text, position, 'utf8');
    return position + bytes;
  }
  for (let i = 0; i < bytes; i++) into[position + i] = text.charCodeAt(i);
  return position + bytes;
}

/** Reads one message's fields in order. Throws on what no encoder writes. */
export class Reader {
  readonly bytes: Buffer;
  position: number;
  readonly end: number;

  constructor(bytes: Buffer, start = 0, end = bytes.length) {
    this.bytes = bytes;
    this.position = start;
    this.end = end;
  }

  done(): boolean {
    return this.position >= this.end;
  }

  /** An unsigned varint; those above 2^53-1 are refused, negative ones come as such. */
  varint(): number {
    const first = this.bytes[this.position]!;
    if (first < 0x80 && this.position < this.end) {
      this.position += 1;
      return first;
    }
    return this.#longVarint();
  }

  #longVarint(): number {
    let low = 0;
    let high = 0;
    for (let shift = 0; shift < 70; shift += 7) {
      if (this.position >= this.end) break;
      const byte = this.bytes[this.position++]!;
      if (shift < 28) low += (byte & 0x7f) * 2 ** shift;
      else high += (byte & 0x7f) * 2 ** (shift - 28);
      if (byte < 0x80) return toNumber(low, high);
    }
    throw new Error('malformed message: varint without an end');
  }

  /** The bounds of a length-delimited field; the position moves behind it. */
  span(): number {
    const length = this.varint();
    const start = this.position;
    if (length < 0 || length > this.end - start) {
      throw new Error('malformed message: field longer than its message');
    }
    this.position = start + length;
    return start;
  }

  text(): string {
    const start = this.span();
    return this.bytes.toString('utf8', start, this.position);
  }

  /** A view, not a copy. */
  view(): Buffer {
    const start = this.span();
    return this.bytes.subarray(start, this.position);
  }

  nested(): Reader {
    const start = this.span();
    return new Reader(this.bytes, start, this.position);
  }

  /** Passes over a field that this client does not know. */
  skip(wireType: number): void {
    if (wireType === WireType.varint) while (this.bytes[this.position++]! >= 0x80);
    else if (wireType === WireType.bytes) this.span();
    else if (wireType === WireType.fixed64) this.position += 8;
    else if (wireType === WireType.fixed32) this.position += 4;
    else throw new Error(`malformed message: wire type ${wireType}`);
    if (this.position > this.end) throw new Error('malformed message: cut off');
  }
}

/** `high` holds the bits from 28 on: 42 of them in the longest (negative) varint. */
function toNumber(low: number, high: number): number {
  const negative = high >= 2 ** 35;
  const value = negative ? (high - 2 ** 36) * TWO_TO_28 + low : high * TWO_TO_28 + low;
  if (!Number.isSafeInteger(value)) throw new Error(`number out of range: ${value}`);
  return value;
}
