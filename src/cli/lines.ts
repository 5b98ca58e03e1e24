/** Bytes up to each `\n`, which is dropped; whatever else is in them stays. */

const NEWLINE = 0x0a;

/** A line is longer than what may be sent. */
export class LineTooLong extends Error {
  readonly lineNumber: number;

  constructor(lineNumber: number) {
    super(`line ${lineNumber} is too long`);
    this.lineNumber = lineNumber;
  }
}

/** Splits as the bytes come. A last line without `\n` counts; an empty rest is no line. */
export class LineSplitter {
  readonly #maxLineBytes: number;
  #parts: Buffer[] = [];
  #partBytes = 0;
  #lines = 0;

  constructor(maxLineBytes: number) {
    this.#maxLineBytes = maxLineBytes;
  }

  /** The lines that end in this chunk; they are views into it where they can be. */
  *push(chunk: Buffer): Generator<Buffer, void, undefined> {
    let start = 0;
    for (;;) {
      const end = chunk.indexOf(NEWLINE, start);
      if (end === -1) break;
      yield this.#finish(chunk.subarray(start, end));
      start = end + 1;
    }
    if (start < chunk.length) this.#keep(chunk.subarray(start));
  }

  /** The rest, if the input did not end with `\n`. */
  end(): Buffer | undefined {
    return this.#partBytes === 0 ? undefined : this.#finish(Buffer.alloc(0));
  }

  #keep(part: Buffer): void {
    this.#parts.push(part);
    this.#partBytes += part.length;
    if (this.#partBytes > this.#maxLineBytes) throw new LineTooLong(this.#lines + 1);
  }

  #finish(tail: Buffer): Buffer {
    this.#lines += 1;
    if (this.#partBytes + tail.length > this.#maxLineBytes) throw new LineTooLong(this.#lines);
    if (this.#parts.length === 0) return tail;
    const line = Buffer.concat([...this.#parts, tail]);
    this.#parts = [];
    this.#partBytes = 0;
    return line;
  }
}
