/**
 * Lanes on the leader's side: one queue of one ProduceStream, forwarded. What follows a failed
 * request on its lane must fail too, or a stream would be stored with a hole in it. Only failed
 * lanes are remembered; the origin opens a new one when it goes on.
 */
export class FailedLanes {
  readonly #max: number;
  /** In order of failure. */
  readonly #failed = new Set<string>();

  constructor(max: number) {
    this.#max = max;
  }

  get size(): number {
    return this.#failed.size;
  }

  has(from: number, lane: string): boolean {
    return this.#failed.has(`${from}/${lane}`);
  }

  add(from: number, lane: string): void {
    this.#failed.add(`${from}/${lane}`);
    if (this.#failed.size <= this.#max) return;
    for (const oldest of this.#failed) {
      this.#failed.delete(oldest);
      break;
    }
  }
}
