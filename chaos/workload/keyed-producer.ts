/** Sends with business keys instead of sequences, and sends some again after their ack. */
import { Client } from './client.ts';
import type { Load } from './load.ts';
import { random, recordProduce, requestOf, type Write } from './produce.ts';

const MESSAGES_MAX = 3;
/** One request in so many, well within the window of its keys. */
const REPEATED_EVERY = 3;

export class KeyedProducer {
  readonly #load: Load;
  readonly #id: string;
  readonly #client: Client;
  #count = 0;

  constructor(load: Load, index: number) {
    this.#load = load;
    this.#id = `keyed-${index}`;
    this.#client = new Client(load.addresses, index, load.giveUp);
  }

  async run(): Promise<void> {
    do await this.#load.turn(1);
    while (this.#load.running && (await this.#send()));
    this.#client.close();
  }

  async #send(): Promise<boolean> {
    const count = 1 + random(MESSAGES_MAX);
    const values = Array.from({ length: count }, (_, i) => `${this.#id}.${this.#count + i}`);
    this.#count += count;
    const write: Write = { queue: random(this.#load.queues), values, keyedBy: this.#id };
    const isSent = await this.#settle(write);
    if (!isSent || random(REPEATED_EVERY) !== 0 || !this.#load.running) return isSent;
    this.#client.useNext();
    return this.#settle(write);
  }

  async #settle(write: Write): Promise<boolean> {
    const ack = await this.#client.settle('Log.Produce', requestOf(write), (answer) => {
      recordProduce(this.#load, this.#id, write, answer);
    });
    if (ack.outcome === 'ok') return true;
    this.#load.trouble(this.#id, `${write.values[0]}: ${ack.text}`);
    return false;
  }
}
