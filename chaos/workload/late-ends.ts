/** Ends of transactions that have long ended: the same decision again, or the opposite one. */
import { Client } from './client.ts';
import { endTransaction, type Prepared } from './end-transaction.ts';
import type { Load } from './load.ts';
import { random } from './produce.ts';

/** One end in so many has a late one behind it. */
const LATE_EVERY = 16;
const KEPT_MAX = 64;

export class LateEnds {
  readonly #load: Load;
  readonly #process: string;
  readonly #client: Client;
  readonly #ended: Prepared[] = [];

  constructor(load: Load, process: string, firstNode: number) {
    this.#load = load;
    this.#process = process;
    this.#client = new Client(load.addresses, firstNode, load.giveUp);
  }

  /** The checker holds the answer against all that were given before. */
  async after(ended: Prepared): Promise<void> {
    this.#ended.push(ended);
    this.#ended.splice(0, this.#ended.length - KEPT_MAX);
    const late = this.#ended[random(this.#ended.length)];
    if (random(LATE_EVERY) > 0 || late === undefined) return;
    this.#client.useNext();
    const decision = random(2) === 0 ? 'commit' : 'rollback';
    await endTransaction(this.#load, this.#client, this.#process, { ...late, decision });
  }

  close(): void {
    this.#client.close();
  }
}
