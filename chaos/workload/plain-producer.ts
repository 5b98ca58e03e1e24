/** Without sequences: what it sends again may be stored again, what it gives up stays open. */
import { Client } from './client.ts';
import type { Load } from './load.ts';
import { random, recordProduce, requestOf, type Write } from './produce.ts';

const ATTEMPTS_MAX = 3;

export class PlainProducer {
  readonly #load: Load;
  readonly #name: string;
  readonly #client: Client;
  #count = 0;

  constructor(load: Load, index: number) {
    this.#load = load;
    this.#name = `plain-${index}`;
    this.#client = new Client(load.addresses, index, load.giveUp);
  }

  async run(): Promise<void> {
    do await this.#load.turn(1);
    while (this.#load.running && (await this.#send()));
    this.#client.close();
  }

  /** One message alone, to any queue, in a few attempts at most. */
  async #send(): Promise<boolean> {
    const values = [`${this.#name}.${this.#count++}`];
    const write: Write = { queue: random(this.#load.queues), values };
    for (let attempts = 1; ; attempts++) {
      const answer = await this.#client.attempt('Log.Produce', requestOf(write));
      recordProduce(this.#load, this.#name, write, answer);
      if (answer.outcome === 'ok' || attempts === ATTEMPTS_MAX) return true;
      if (!answer.retryable) {
        this.#load.trouble(this.#name, `${values[0]}: ${answer.text}`);
        return false;
      }
      await this.#client.pauseAfter(answer);
      if (!this.#load.running) return true;
    }
  }
}
