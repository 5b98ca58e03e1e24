import { MalformedFrameError } from './malformed.ts';

/** Reads the fields of a frame's head; whatever does not fit is a `MalformedFrameError`. */
export class ByteReader {
  readonly source: Buffer;
  at: number;
  readonly end: number;

  constructor(source: Buffer, at: number, end: number) {
    this.source = source;
    this.at = at;
    this.end = end;
  }

  /** Moves past `bytes` bytes and returns where they begin. */
  skip(bytes: number): number {
    const at = this.at;
    if (bytes > this.end - at) throw new MalformedFrameError('head too short');
    this.at = at + bytes;
    return at;
  }

  u8(): number {
    return this.source[this.skip(1)] as number;
  }

  u32(): number {
    return this.source.readUInt32LE(this.skip(4));
  }

  /** LEB128, shortest form only, at most 2^53 - 1. */
  varint(): number {
    let byte = this.u8();
    if (byte < 0x80) return byte;
    let value = byte & 0x7f;
    let scale = 128;
    do {
      byte = this.u8();
      value += (byte & 0x7f) * scale;
      scale *= 128;
      if (value > Number.MAX_SAFE_INTEGER) throw new MalformedFrameError('number over 2^53');
    } while (byte >= 0x80);
    if (byte === 0) throw new MalformedFrameError('number not in its shortest form');
    return value;
  }

  text(maxBytes: number): string {
    const bytes = this.varint();
    if (bytes > maxBytes) throw new MalformedFrameError(`text of ${bytes} bytes`);
    const at = this.skip(bytes);
    return bytes === 0 ? '' : this.source.toString('utf8', at, at + bytes);
  }

  atEnd(): boolean {
    return this.at === this.end;
  }

  expectEnd(): void {
    if (this.at !== this.end) throw new MalformedFrameError('bytes left over in the head');
  }
}
