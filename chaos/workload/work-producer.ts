/** Puts work into the second topic, slowly: a few keys, each of which has its order. */
import { Client } from './client.ts';
import type { Load } from './load.ts';
import { random, recordProduce, requestOf, type Write } from './produce.ts';
import { someKey, WORK_QUEUES } from './work-topic.ts';

const PACE_MS = 120;
const MESSAGES_MAX = 3;

export class WorkProducer {
  readonly #load: Load;
  readonly #id: string;
  readonly #client: Client;
  /** By queue number. */
  readonly #sequences = Array.from({ length: WORK_QUEUES }, () => 0);

  constructor(load: Load, index: number) {
    this.#load = load;
    this.#id = `work-${index}`;
    this.#client = new Client(load.addresses, index, load.giveUp);
  }

  async run(): Promise<void> {
    while (this.#load.running && (await this.#send())) {
      await this.#load.turn(1);
      await this.#load.pace(PACE_MS);
    }
    this.#client.close();
  }

  async #send(): Promise<boolean> {
    const queue = random(WORK_QUEUES);
    const sequence = this.#sequences[queue]!;
    const count = 1 + random(MESSAGES_MAX);
    this.#sequences[queue] = sequence + count;
    const write: Write = {
      ...{ topic: this.#load.work, queue, key: someKey() },
      producer: { id: this.#id, epoch: 0, sequence },
      values: Array.from({ length: count }, (_, i) => `${this.#id}.${queue}.${sequence + i}`),
    };
    const ack = await this.#client.settle('Log.Produce', requestOf(write), (answer) => {
      recordProduce(this.#load, this.#id, write, answer);
    });
    if (ack.outcome === 'ok') return true;
    this.#load.trouble(this.#id, `${write.values[0]}: ${ack.text}`);
    return false;
  }
}
