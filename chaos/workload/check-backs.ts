/**
 * Decides half messages whose own decision got lost, when asked; as long as there is load it
 * sometimes stays silent.
 */
import { Client } from './client.ts';
import { endTransaction } from './end-transaction.ts';
import { attemptOf, type Load } from './load.ts';
import type { Check } from './methods.ts';
import { observedValue } from './payload.ts';
import { random } from './produce.ts';

const WAIT_MS = 1000;
const LEASE_MS = 2000;
const PACE_MS = 100;
/** One check in so many is left without an answer: it has to come again. */
const SILENT_EVERY = 4;

export class CheckBacks {
  readonly #load: Load;
  readonly #group: string;
  readonly #name: string;
  readonly #client: Client;

  constructor(load: Load, group: string, index: number, giveUp = load.giveUp) {
    this.#load = load;
    this.#group = group;
    this.#name = `checks-of-${group}`;
    this.#client = new Client(load.addresses, index, giveUp);
  }

  async run(): Promise<void> {
    while (this.#load.running) {
      await this.#poll();
      await this.#load.pace(PACE_MS);
    }
    this.#client.close();
  }

  /** After the load. False: no poll was answered. */
  async answerAll(isWanted: () => boolean): Promise<boolean> {
    let isAnswered = false;
    while (isWanted()) isAnswered = (await this.#poll()) || isAnswered;
    this.#client.close();
    return isAnswered;
  }

  async #poll(): Promise<boolean> {
    const request = {
      producer_group: this.#group,
      ...{ max_wait_ms: WAIT_MS, check_lease_ms: LEASE_MS },
    };
    const answer = await this.#client.attempt('Transactions.PollChecks', request);
    if (answer.outcome !== 'ok') await this.#client.pauseAfter(answer);
    else for (const check of answer.value.checks) await this.#decide(check, answer);
    this.#client.useNext();
    return answer.outcome === 'ok';
  }

  async #decide(
    { caller_transaction_id: transaction, check_count: count, parts }: Check,
    answer: Parameters<typeof attemptOf>[1],
  ): Promise<void> {
    const [part] = parts;
    const values = parts.flatMap(({ messages }) => messages.map(observedValue));
    this.#load.record({
      type: 'check',
      ...attemptOf(this.#name, answer),
      ...{ transaction, count, values },
    });
    const isSilent = this.#load.running && random(SILENT_EVERY) === 0;
    if (part === undefined || isSilent) return;
    const decision = random(2) === 0 ? 'commit' : 'rollback';
    const where = { id: transaction, group: this.#group, queue: part.queue, decision } as const;
    // The producer may decide at the same time, in another way: then it is its word that counts.
    await endTransaction(this.#load, this.#client, this.#name, where);
  }
}
