/** Keeps what this node holds for callers within its bounds (design section 2, rule 6). */
import { CallError } from '../status.ts';

export interface AdmissionLimits {
  readonly maxInflightRequestBytes: number;
  readonly maxStreams: number;
  readonly busyRetryAfterMs: number;
}

export class Admission {
  readonly #limits: AdmissionLimits;
  #bytes = 0;
  #calls = 0;
  #streams = 0;
  #stopping = false;

  constructor(limits: AdmissionLimits) {
    this.#limits = limits;
  }

  get inflightBytes(): number {
    return this.#bytes;
  }

  get calls(): number {
    return this.#calls;
  }

  get streams(): number {
    return this.#streams;
  }

  /** From now on everything new is refused. */
  stop(): void {
    this.#stopping = true;
  }

  /** undefined = come in; then `leave` with the same bytes. One request is always let in. */
  enter(bytes: number): CallError | undefined {
    if (this.#stopping) return stopping();
    if (this.#calls > 0 && this.#bytes + bytes > this.#limits.maxInflightRequestBytes) {
      return this.#busy(`${this.#bytes} request bytes are in flight (maxInflightRequestBytes)`);
    }
    this.#bytes += bytes;
    this.#calls += 1;
    return undefined;
  }

  leave(bytes: number): void {
    this.#bytes -= bytes;
    this.#calls -= 1;
  }

  openStream(): CallError | undefined {
    if (this.#stopping) return stopping();
    if (this.#streams >= this.#limits.maxStreams) {
      return this.#busy(`${this.#streams} streams are open (maxStreams)`);
    }
    this.#streams += 1;
    return undefined;
  }

  closeStream(): void {
    this.#streams -= 1;
  }

  #busy(what: string): CallError {
    return new CallError('NODE_BUSY', `this node is busy: ${what}. Try again later`, {
      retryAfterMs: this.#limits.busyRetryAfterMs,
    });
  }
}

export function stopping(): CallError {
  return new CallError('NODE_STOPPING', 'this node is going down: use another one');
}
