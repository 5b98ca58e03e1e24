/** P18: an acknowledged commit shows once, for ever; an acknowledged half waits for its end. */
import { commitAckOf, type Facts, type FinalRead, type Transaction } from './facts.ts';
import type { Finding, Property } from './property.ts';

export const transactionDurability: Property = {
  id: 'P18',
  name: 'transaction-durability',
  says: 'What was committed shows once after the run; what was prepared is there to be ended.',
  *find(facts) {
    const finals = new Map(facts.finals.map((final) => [final.log, final]));
    for (const transaction of facts.transactions.values()) {
      facts.bound.step();
      const final = finals.get(transaction.log);
      if (final !== undefined) yield* notOnce(facts, transaction, final);
      yield* forgotten(transaction);
    }
  },
};

function* notOnce(
  facts: Facts,
  transaction: Transaction,
  { shown, startOffset, line }: FinalRead,
): Generator<Finding> {
  const ack = commitAckOf(transaction);
  if (ack === undefined) return;
  const { id, log, values } = transaction;
  for (const value of values) {
    const places = facts.places.of(value);
    if (places.some(({ offset }) => offset < startOffset)) continue;
    const isThere = places.some(({ offset }) => shown.get(offset)?.value === value);
    if (isThere && places.length === 1) continue;
    const what = isThere ? `is there ${places.length} times` : 'is not there';
    const text = `${log}: ${value} of the committed transaction ${id} ${what}`;
    yield { text, lines: [ack.line, ...places.map((place) => place.line), line] };
  }
}

function* forgotten({ id, prepares, ends }: Transaction): Generator<Finding> {
  const prepared = prepares.find(({ outcome }) => outcome === 'ok');
  if (prepared === undefined) return;
  for (const { reason, invokedMs, line } of ends) {
    if (reason !== 'TRANSACTION_NOT_FOUND' || invokedMs < prepared.completedMs) continue;
    const text = `transaction ${id} was prepared, then nobody knew it`;
    yield { text, lines: [prepared.line, line] };
  }
}
