/**
 * Requests of a producer with sequences that were acknowledged, sent again as they were, through
 * other nodes: what a network does that keeps a copy, or a client that lost the answer.
 */
import { Client } from './client.ts';
import { ACKS_LAST_AT, type Load } from './load.ts';
import { random, recordProduce, requestOf, type Write } from './produce.ts';

/** One send in so many. */
const REPEATED_EVERY = 50;
/** Nodes keep the answers of 64 requests per producer and queue; some more are in flight. */
const KEPT_MAX = 32;

export class Repeats {
  readonly #load: Load;
  readonly #process: string;
  readonly #client: Client;
  readonly #acked: Write[] = [];

  constructor(load: Load, process: string, firstNode: number) {
    this.#load = load;
    this.#process = process;
    this.#client = new Client(load.addresses, firstNode, load.giveUp);
  }

  acknowledged(writes: readonly Write[]): void {
    this.#acked.push(...writes);
    this.#acked.splice(0, this.#acked.length - KEPT_MAX);
  }

  /** One of those acknowledged last. */
  any(): Write | undefined {
    return this.#acked[random(this.#acked.length)];
  }

  /** A new epoch began: what was sent before is refused from now on. */
  forget(): void {
    this.#acked.length = 0;
  }

  /** For each of so many sends by chance; false: a repetition was refused. */
  async after(sends: number): Promise<boolean> {
    // Below it an ack may be taken back, and its repetition is a new write.
    if (this.#load.level !== ACKS_LAST_AT) return true;
    for (let i = 0; i < sends; i++) {
      const write = random(REPEATED_EVERY) === 0 ? this.any() : undefined;
      if (write !== undefined && !(await this.#repeat(write))) return false;
    }
    return true;
  }

  async #repeat(write: Write): Promise<boolean> {
    this.#client.useNext();
    const answer = await this.#client.settle('Log.Produce', requestOf(write), (attempt) => {
      recordProduce(this.#load, this.#process, write, attempt);
    });
    if (answer.outcome === 'ok') return true;
    this.#load.trouble(this.#process, `${write.values[0]} again: ${answer.text}`);
    return false;
  }

  close(): void {
    this.#client.close();
  }
}
