/** P25: nothing waits for ever. */
import type { Facts, Line } from './facts.ts';
import type { Finding, Property } from './property.ts';

export const settled: Property = {
  id: 'P25',
  name: 'settled',
  says:
    'After a run whose producers answer every check, no transaction is still being prepared or ' +
    'undecided: each has an outcome or is parked.',
  *find(facts) {
    for (const list of facts.of('open')) if (list.afterChecks) yield* waiting(facts, list);
  },
};

function* waiting(facts: Facts, { line, transactions }: Line<'open'>): Generator<Finding> {
  for (const { transaction: id, state } of transactions) {
    facts.bound.step();
    if (state === 'PARKED') continue;
    const begun = facts.transactions.get(id)?.prepares[0];
    const text = `transaction ${id}: still ${state} after every check was answered`;
    yield { text, lines: [...(begun === undefined ? [] : [begun.line]), line] };
  }
}
