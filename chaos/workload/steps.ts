/** The steps of transactions as clients know them: a fault may wait for one, and strike then. */

/** A Prepare leaves, its answer came, an End leaves, its answer came. */
export type Step = 'preparing' | 'prepared' | 'ending' | 'ended';

export class Steps {
  readonly #waiting = new Map<Step, (queue: number) => void>();

  /** Of the topic of the run: its shard coordinates the transaction. */
  pass(step: Step, queue: number): void {
    const waiting = this.#waiting.get(step);
    this.#waiting.delete(step);
    waiting?.(queue);
  }

  /** With the queue of the next transaction that passes it; one at a time may wait for a step. */
  next(step: Step): Promise<number> {
    if (this.#waiting.has(step)) throw new Error(`somebody waits for ${step} already`);
    return new Promise((resolve) => this.#waiting.set(step, resolve));
  }

  /** Whoever waited for it does not any more. */
  forget(step: Step): void {
    this.#waiting.delete(step);
  }
}
