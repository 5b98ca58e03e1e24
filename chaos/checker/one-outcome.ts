/** P17: a transaction ends once, in one way. */
import { basesIn, type Facts, type Line, listOf, logOf, type Transaction } from './facts.ts';
import type { Finding, Property } from './property.ts';

export const oneOutcome: Property = {
  id: 'P17',
  name: 'one-outcome',
  says:
    'A transaction has one outcome, the same in every answer, and is neither asked about again ' +
    'nor listed as open.',
  *find(facts) {
    const checks = new Map<string, Line<'check'>[]>();
    for (const check of facts.of('check')) listOf(checks, check.transaction).push(check);
    for (const transaction of facts.transactions.values()) {
      facts.bound.step();
      yield* contradiction(transaction);
      yield* askedAgain(facts, transaction, checks.get(transaction.id) ?? []);
    }
    for (const list of facts.of('open')) yield* listedAgain(facts, list);
  },
};

function* contradiction({ id, ends }: Transaction): Generator<Finding> {
  const outcomes = new Map<string, number>();
  /** By queue. */
  const places = new Map<string, Map<string, number>>();
  for (const end of ends) {
    const { decision, outcome, state, line } = end;
    const asked = decision === 'commit' ? 'COMMITTED' : 'ROLLED_BACK';
    for (const said of outcome === 'ok' ? [asked, state] : [state]) {
      if (said !== undefined && said !== 'UNDECIDED') tell(outcomes, said, line);
    }
    for (const base of outcome === 'ok' ? basesIn(end) : []) {
      const told = places.get(logOf(base)) ?? new Map<string, number>();
      places.set(logOf(base), told);
      tell(told, `at offset ${base.baseOffset} of ${logOf(base)}`, line);
    }
  }
  for (const [what, line] of outcomes) {
    const decision = what === 'COMMITTED' ? 'commit' : 'rollback';
    const isAskedFor = ends.some((end) => end.decision === decision && end.outcome !== 'fail');
    if (!isAskedFor) yield { text: `transaction ${id}: ${what}, unasked`, lines: [line] };
  }
  for (const several of [outcomes, ...places.values()]) {
    if (several.size < 2) continue;
    const text = `transaction ${id}: ${[...several.keys()].join(' and ')}`;
    yield { text, lines: [...several.values()] };
  }
}

function tell(told: Map<string, number>, what: string, line: number): void {
  if (!told.has(what)) told.set(what, line);
}

function* askedAgain(
  facts: Facts,
  { id, ends }: Transaction,
  checks: readonly Line<'check'>[],
): Generator<Finding> {
  const ended = firstEnd(ends);
  if (ended === undefined) return;
  for (const { invokedMs, line } of checks) {
    facts.bound.step();
    if (invokedMs <= ended.completedMs) continue;
    yield { text: `transaction ${id}: asked about after its end`, lines: [ended.line, line] };
  }
}

function* listedAgain(
  facts: Facts,
  { invokedMs, line, transactions }: Line<'open'>,
): Generator<Finding> {
  for (const { transaction: id, state } of transactions) {
    facts.bound.step();
    const ended = firstEnd(facts.transactions.get(id)?.ends ?? []);
    if (ended === undefined || invokedMs <= ended.completedMs) continue;
    yield {
      text: `transaction ${id}: listed as ${state} after its end`,
      lines: [ended.line, line],
    };
  }
}

function firstEnd(ends: readonly Line<'end'>[]): Line<'end'> | undefined {
  return ends
    .filter(({ outcome }) => outcome === 'ok')
    .reduce<Line<'end'> | undefined>(
      (first, end) => (first === undefined || end.completedMs < first.completedMs ? end : first),
      undefined,
    );
}
