/**
 * Fetches that memory alone cannot answer hold rows and entries while they wait for the disk: only
 * so many of them are under way as fit into a bound, however many were called. The others wait here
 * for their turn, and hold nothing.
 */
import { type Leave, WaitingLine } from './waiting-line.ts';

/** Of a node. Fifteen fetches of the default size: the log answers two reads at a time. */
export const READING_BYTES_MAX = 32 * 1024 * 1024;

interface Waiting {
  readonly bytes: number;
  readonly begin: () => void;
}

export class ReadTurns {
  readonly #maxBytes: number;
  readonly #waiting = new WaitingLine<Waiting>();
  #takenBytes = 0;
  #isLettingIn = false;

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  /** False: it has to wait. */
  take(bytes: number): boolean {
    if (this.#waiting.size > 0 || !this.#hasRoom(bytes)) return false;
    this.#takenBytes += bytes;
    return true;
  }

  /** `begin`, later: `bytes` are taken. */
  wait(bytes: number, begin: () => void): Leave {
    const leave = this.#waiting.push({ bytes, begin });
    return () => {
      const hasLeft = leave();
      // It may have been too large for the room in which those behind it fit.
      if (hasLeft) this.#letIn();
      return hasLeft;
    };
  }

  giveBack(bytes: number): void {
    this.#takenBytes -= bytes;
    this.#letIn();
  }

  /** One that is larger than the bound goes alone. */
  #hasRoom(bytes: number): boolean {
    return this.#takenBytes === 0 || this.#takenBytes + bytes <= this.#maxBytes;
  }

  /** A loop and no recursion: who is let in may be done at once. */
  #letIn(): void {
    if (this.#isLettingIn) return;
    this.#isLettingIn = true;
    for (let next = this.#waiting.peek(); next !== undefined; next = this.#waiting.peek()) {
      if (!this.#hasRoom(next.bytes)) break;
      this.#waiting.shift();
      this.#takenBytes += next.bytes;
      next.begin();
    }
    this.#isLettingIn = false;
  }
}
