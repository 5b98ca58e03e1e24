/** Sends messages for later, takes some of them back, and stays until the last of them is due. */
import { setTimeout as delay } from 'node:timers/promises';
import { nowMs } from '../history.ts';
import { Client } from './client.ts';
import { attemptOf, type Load } from './load.ts';
import { random, recordProduce, requestOf, type Write } from './produce.ts';

const DELAY_MIN_MS = 300;
const DELAY_MAX_MS = 4000;
const MESSAGES_MAX = 3;
/** One send in so many. */
const RECALLED_EVERY = 4;
/** A leader may be elected just when the last one is due. */
const SHOWN_WITHIN_MS = 3000;

export class DelayedProducer {
  readonly #load: Load;
  readonly #id: string;
  readonly #client: Client;
  /** By queue number. */
  readonly #sequences: number[];
  #lastMs = 0;

  constructor(load: Load, index: number) {
    this.#load = load;
    this.#id = `later-${index}`;
    this.#client = new Client(load.addresses, index, load.giveUp);
    this.#sequences = Array.from({ length: load.queues }, () => 0);
  }

  async run(): Promise<void> {
    do await this.#load.turn(1);
    while (this.#load.running && (await this.#send()));
    await this.#allShown();
    this.#client.close();
  }

  async #send(): Promise<boolean> {
    const write = this.#nextWrite();
    const ack = await this.#client.settle('Log.Produce', requestOf(write), (answer) => {
      recordProduce(this.#load, this.#id, write, answer);
    });
    if (ack.outcome !== 'ok') {
      this.#load.trouble(this.#id, `${write.values[0]}: ${ack.text}`);
      return false;
    }
    this.#lastMs = Math.max(this.#lastMs, write.deliverAtMs ?? 0);
    if (random(RECALLED_EVERY) === 0) await this.#recall(write, ack.value.first_message_id);
    return true;
  }

  #nextWrite(): Write {
    const queue = random(this.#load.queues);
    const sequence = this.#sequences[queue]!;
    const count = 1 + random(MESSAGES_MAX);
    this.#sequences[queue] = sequence + count;
    return {
      queue,
      producer: { id: this.#id, epoch: 0, sequence },
      values: Array.from({ length: count }, (_, i) => `${this.#id}.${queue}.${sequence + i}`),
      deliverAtMs: nowMs() + DELAY_MIN_MS + random(DELAY_MAX_MS - DELAY_MIN_MS),
    };
  }

  /** Also when it is nearly due: then either may come first. */
  async #recall({ queue, values, deliverAtMs = 0 }: Write, messageId: string): Promise<void> {
    if (random(2) === 0) await this.#load.pace(Math.max(0, deliverAtMs - nowMs()));
    const request = { message_id: messageId };
    const answer = await this.#client.settle('Log.Recall', request, (attempt) => {
      const line = attemptOf(this.#id, attempt);
      this.#load.record({ type: 'recall', ...line, queue, values });
    });
    if (answer.outcome === 'ok' || answer.reason === 'NOT_DELAYED') return;
    this.#load.trouble(this.#id, `recall of ${values[0]}: ${answer.text}`);
  }

  /** What is not due when everything is read again would be missed. */
  async #allShown(): Promise<void> {
    const waitMs = Math.max(0, this.#lastMs + SHOWN_WITHIN_MS - nowMs());
    await delay(waitMs, undefined, { signal: this.#load.giveUp }).catch(() => undefined);
  }
}
