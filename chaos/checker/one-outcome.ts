/** P17: a transaction ends once, in one way. */
import { type Facts, type Line, listOf, type Transaction } from './facts.ts';
import type { Finding, Property } from './property.ts';

export const oneOutcome: Property = {
  id: 'P17',
  name: 'one-outcome',
  says: 'A transaction has one outcome, the same in every answer, and is not asked about again.',
  *find(facts) {
    const checks = new Map<string, Line<'check'>[]>();
    for (const check of facts.of('check')) listOf(checks, check.transaction).push(check);
    for (const transaction of facts.transactions.values()) {
      facts.bound.step();
      yield* contradiction(transaction);
      yield* askedAgain(facts, transaction, checks.get(transaction.id) ?? []);
    }
  },
};

function* contradiction({ id, ends }: Transaction): Generator<Finding> {
  const told = new Map<string, number>();
  for (const { decision, outcome, state, baseOffset, line } of ends) {
    const asked = decision === 'commit' ? 'COMMITTED' : 'ROLLED_BACK';
    const said = outcome === 'ok' ? [asked, state] : [state];
    for (const outcomeSaid of said) {
      if (outcomeSaid === undefined || outcomeSaid === 'UNDECIDED') continue;
      if (!told.has(outcomeSaid)) told.set(outcomeSaid, line);
    }
    const place = `at offset ${baseOffset}`;
    if (outcome === 'ok' && baseOffset !== undefined && !told.has(place)) told.set(place, line);
  }
  const outcomes = [...told].filter(([what]) => !what.startsWith('at '));
  const places = [...told].filter(([what]) => what.startsWith('at '));
  for (const [what, line] of outcomes) {
    const decision = what === 'COMMITTED' ? 'commit' : 'rollback';
    const isAskedFor = ends.some((end) => end.decision === decision && end.outcome !== 'fail');
    if (!isAskedFor) yield { text: `transaction ${id}: ${what}, unasked`, lines: [line] };
  }
  for (const several of [outcomes, places]) {
    if (several.length < 2) continue;
    const text = `transaction ${id}: ${several.map(([what]) => what).join(' and ')}`;
    yield { text, lines: several.map(([, line]) => line) };
  }
}

function* askedAgain(
  facts: Facts,
  { id, ends }: Transaction,
  checks: readonly Line<'check'>[],
): Generator<Finding> {
  const acked = ends.filter(({ outcome }) => outcome === 'ok');
  const first = acked.reduce((ms, { completedMs }) => Math.min(ms, completedMs), Infinity);
  for (const { invokedMs, line } of checks) {
    facts.bound.step();
    if (invokedMs <= first) continue;
    const ended = acked.find(({ completedMs }) => completedMs === first)!;
    yield { text: `transaction ${id}: asked about after its end`, lines: [ended.line, line] };
  }
}
