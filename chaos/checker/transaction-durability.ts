/** P18: an acknowledged commit shows once, for ever; an acknowledged half waits for its end. */
import {
  commitAckOf,
  type Facts,
  type FinalRead,
  isCommitted,
  type Line,
  type Part,
  type Transaction,
} from './facts.ts';
import type { Finding, Property } from './property.ts';

export const transactionDurability: Property = {
  id: 'P18',
  name: 'transaction-durability',
  says:
    'What was committed shows once after the run; what was prepared is there to be ended, and ' +
    'in the end it has an outcome or is listed as undecided or parked.',
  *find(facts) {
    const finals = new Map(facts.finals.map((final) => [final.log, final]));
    for (const transaction of facts.transactions.values()) {
      facts.bound.step();
      for (const part of transaction.parts) {
        const final = finals.get(part.log);
        if (final !== undefined) yield* notOnce(facts, part, final);
      }
      yield* forgotten(transaction);
    }
    yield* vanished(facts, new Set(finals.keys()));
  },
};

function* notOnce(
  facts: Facts,
  { log, values, transaction }: Part,
  { shown, startOffset, line }: FinalRead,
): Generator<Finding> {
  const ack = commitAckOf(transaction);
  if (ack === undefined) return;
  for (const value of values) {
    const places = facts.places.of(value);
    if (places.some(({ offset }) => offset < startOffset)) continue;
    const isThere = places.some(({ offset }) => shown.get(offset)?.value === value);
    if (isThere && places.length === 1) continue;
    const what = isThere ? `is there ${places.length} times` : 'is not there';
    const text = `${log}: ${value} of the committed transaction ${transaction.id} ${what}`;
    yield { text, lines: [ack.line, ...places.map((place) => place.line), line] };
  }
}

function* forgotten({ id, prepares, ends }: Transaction): Generator<Finding> {
  const prepared = preparedIn(prepares);
  if (prepared === undefined) return;
  for (const { reason, invokedMs, line } of ends) {
    if (reason !== 'TRANSACTION_NOT_FOUND' || invokedMs < prepared.completedMs) continue;
    const text = `transaction ${id} was prepared, then nobody knew it`;
    yield { text, lines: [prepared.line, line] };
  }
}

/** Neither ended by anybody nor listed: it was dropped. */
function* vanished(facts: Facts, read: ReadonlySet<string>): Generator<Finding> {
  const list = facts.of('open').findLast(({ outcome }) => outcome === 'ok');
  if (list === undefined) return;
  const open = new Set(list.transactions.map(({ transaction }) => transaction));
  for (const transaction of facts.transactions.values()) {
    facts.bound.step();
    const { id, ends, parts, prepares } = transaction;
    const prepared = preparedIn(prepares);
    if (prepared === undefined || open.has(id) || isCommitted(facts, transaction)) continue;
    // Without an answer it may have been rolled back, if anybody asked for that.
    if (ends.some(({ decision, outcome }) => decision === 'rollback' && outcome !== 'fail'))
      continue;
    if (ends.some(({ state }) => state === 'ROLLED_BACK')) continue;
    // A commit without an answer would show where everything was read.
    const isAsked = ends.some(({ outcome }) => outcome !== 'fail');
    if (isAsked && !parts.every(({ log }) => read.has(log))) continue;
    const text = `transaction ${id} was prepared, has no outcome and is not listed`;
    yield { text, lines: [prepared.line, list.line] };
  }
}

function preparedIn(prepares: readonly Line<'prepare'>[]): Line<'prepare'> | undefined {
  return prepares.find(({ outcome }) => outcome === 'ok');
}
