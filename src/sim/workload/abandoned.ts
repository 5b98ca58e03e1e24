/**
 * Transactions that their producers left undecided. Whoever is asked about one may still decide it,
 * and so may an operator; nobody does it twice.
 */
import type { TransactionId } from '../../broker/commands.ts';

/** `operatorOf`: decided by an operator, who knows it by its id. */
export type Decide = (decision: 'commit' | 'rollback', operatorOf?: TransactionId) => void;

export class Abandoned {
  readonly #byCaller = new Map<string, Decide>();

  add(callerId: string, decide: Decide): void {
    this.#byCaller.set(callerId, decide);
  }

  take(callerId: string): Decide | undefined {
    const decide = this.#byCaller.get(callerId);
    this.#byCaller.delete(callerId);
    return decide;
  }
}
