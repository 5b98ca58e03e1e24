/**
 * What the former life of a producer sends, once a later one has an answer: nodes have to refuse
 * it, whatever its sequence, and never store it.
 */
import { Client } from './client.ts';
import { ACKS_LAST_AT, type Load } from './load.ts';
import { recordProduce, requestOf, type Write } from './produce.ts';

export class LateRequests {
  readonly #load: Load;
  readonly #process: string;
  readonly #client: Client;
  readonly #late: Write[] = [];

  constructor(load: Load, process: string, firstNode: number) {
    this.#load = load;
    this.#process = process;
    this.#client = new Client(load.addresses, firstNode, load.giveUp);
  }

  /** Of an epoch that has just ended. */
  keep(write: Write): void {
    // Below it the ack of the new epoch may be taken back, and with it the end of the old one.
    if (this.#load.level === ACKS_LAST_AT) this.#late.push(write);
  }

  /** After an ack of the new epoch. False: one was not refused as it has to be. */
  async send(): Promise<boolean> {
    for (const write of this.#late.splice(0)) {
      this.#client.useNext();
      const answer = await this.#client.settle('Log.Produce', requestOf(write), (attempt) => {
        recordProduce(this.#load, this.#process, write, attempt);
      });
      if (answer.outcome !== 'ok' && answer.reason === 'PRODUCER_FENCED') continue;
      const text = answer.outcome === 'ok' ? 'was taken' : answer.text;
      this.#load.trouble(this.#process, `late ${write.values[0]} of a former epoch: ${text}`);
      return false;
    }
    return true;
  }

  close(): void {
    this.#client.close();
  }
}
