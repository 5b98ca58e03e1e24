/** Looks after parked transactions: each is committed, rolled back, or asked about again. */
import { Client } from './client.ts';
import { endTransaction } from './end-transaction.ts';
import type { Load } from './load.ts';
import type { OpenTransaction } from './methods.ts';
import { listPage } from './open-transactions.ts';
import { random } from './produce.ts';

const PACE_MS = 1500;
/** One in so many is left parked for now. */
const LEFT_EVERY = 4;
const NAME = 'operator';

export class TransactionOperator {
  readonly #load: Load;
  readonly #client: Client;

  constructor(load: Load) {
    this.#load = load;
    this.#client = new Client(load.addresses, 0, load.giveUp);
  }

  async run(): Promise<void> {
    while (this.#load.running) {
      const page = await listPage(this.#client, '', 'PARKED');
      if (page.outcome === 'ok') {
        for (const one of page.value.transactions) await this.#lookAfter(one);
      } else if (page.retryable) await this.#client.pauseAfter(page);
      else this.#load.trouble(NAME, `list of parked transactions: ${page.text}`);
      this.#client.useNext();
      await this.#load.pace(PACE_MS);
    }
    this.#client.close();
  }

  async #lookAfter({
    transaction_id: operatorId,
    caller_transaction_id: id,
    producer_group: group,
    parts,
  }: OpenTransaction): Promise<void> {
    const [first] = parts;
    if (first === undefined || random(LEFT_EVERY) === 0 || !this.#load.running) return;
    if (random(2) === 0) {
      const decision = random(2) === 0 ? 'commit' : 'rollback';
      const ending = { id, group, queue: first.queue, decision, operatorId } as const;
      await endTransaction(this.#load, this.#client, NAME, ending);
      return;
    }
    const request = { transaction_id: operatorId };
    const answer = await this.#client.settle('Transactions.Resume', request, () => undefined);
    // Somebody may have ended it since it was listed.
    if (answer.outcome === 'ok' || answer.reason === 'TRANSACTION_ENDED') return;
    this.#load.trouble(NAME, `resume of ${id}: ${answer.text}`);
  }
}
