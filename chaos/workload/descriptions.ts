/** Asks every node in turn what the topic is: it stays what it was, and its queues only grow. */
import { Client } from './client.ts';
import { attemptOf, type Load, TOPIC } from './load.ts';

const PACE_MS = 500;

export class Descriptions {
  readonly #load: Load;
  readonly #client: Client;
  #id: string | undefined;

  constructor(load: Load) {
    this.#load = load;
    this.#client = new Client(load.addresses, 1, load.giveUp);
  }

  async run(): Promise<void> {
    while (this.#load.running && (await this.#look())) {
      this.#client.useNext();
      await this.#load.pace(PACE_MS);
    }
    this.#client.close();
  }

  async #look(): Promise<boolean> {
    const { node } = this.#client;
    const answer = await this.#client.attempt('Admin.DescribeTopic', { name: TOPIC });
    if (answer.outcome !== 'ok') {
      if (!answer.retryable) this.#load.trouble('descriptions', answer.text);
      return answer.retryable;
    }
    const { topic, queues } = answer.value;
    this.#id ??= topic.topic_id;
    if (topic.topic_id !== this.#id || queues.length !== this.#load.queues) {
      const what = `topic ${topic.topic_id} of ${queues.length} queues through node ${node}`;
      this.#load.trouble('descriptions', `${what}, it was ${this.#id} of ${this.#load.queues}`);
      return false;
    }
    for (const { queue, start_offset: startOffset, end_offset: endOffset } of queues) {
      this.#load.record({
        type: 'listed',
        ...attemptOf('descriptions', answer),
        ...{ node, queue, endOffset },
        ...(startOffset === 0 ? {} : { startOffset }),
      });
    }
    return true;
  }
}
