/** Cuts a TCP stream into `{u32 length, bytes}` frames, copying each byte once. */
export class FrameReader {
  readonly #onFrame: (bytes: Buffer) => void;
  readonly #lengthBytes = Buffer.alloc(4);
  #lengthFilled = 0;
  #frame: Buffer | undefined;
  #filled = 0;

  constructor(onFrame: (bytes: Buffer) => void) {
    this.#onFrame = onFrame;
  }

  push(chunk: Buffer): void {
    let at = 0;
    while (at < chunk.length) {
      if (this.#frame === undefined) {
        this.#lengthBytes[this.#lengthFilled++] = chunk[at++] as number;
        if (this.#lengthFilled < 4) continue;
        this.#lengthFilled = 0;
        this.#frame = Buffer.allocUnsafe(this.#lengthBytes.readUInt32LE(0));
        this.#filled = 0;
      }
      at += this.#fill(this.#frame, chunk, at);
    }
  }

  #fill(frame: Buffer, chunk: Buffer, at: number): number {
    const length = Math.min(frame.length - this.#filled, chunk.length - at);
    chunk.copy(frame, this.#filled, at, at + length);
    this.#filled += length;
    if (this.#filled === frame.length) {
      this.#frame = undefined;
      this.#onFrame(frame);
    }
    return length;
  }
}
