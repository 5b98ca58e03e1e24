/** A half message is invisible until its commit was asked for, and for ever without one. */
import { eventsOf, type History } from '../history.ts';
import type { Finding } from './finding.ts';
import { seenValues, valuesOfTransactions } from './views.ts';

export function halfVisibility(history: History): Finding[] {
  const transactionOf = new Map<string, string>();
  for (const [transaction, values] of valuesOfTransactions(history)) {
    for (const value of values) transactionOf.set(value, transaction);
  }
  const visibleFromMs = commitTimes(history);
  const findings = new Map<string, Finding>();
  for (const { value, completedMs, queue, offset, node } of seenValues(history)) {
    const transaction = transactionOf.get(value);
    if (transaction === undefined) continue;
    const fromMs = visibleFromMs.get(transaction);
    if (fromMs !== undefined && completedMs >= fromMs) continue;
    const why = fromMs === undefined ? 'no commit was asked for' : 'before its commit';
    const text = `half message ${value} was read, ${why}: queue ${queue}, offset ${offset}`;
    findings.set(value, { kind: 'halves_seen', text: `${text}, node ${node}` });
  }
  return [...findings.values()];
}

/** When the first attempt at the commit began; one proven without effect makes nothing visible. */
function commitTimes(history: History): Map<string, number> {
  const times = new Map<string, number>();
  for (const { transaction, decision, outcome, invokedMs } of eventsOf(history, 'end')) {
    if (decision !== 'commit' || outcome === 'fail') continue;
    times.set(transaction, Math.min(times.get(transaction) ?? Infinity, invokedMs));
  }
  return times;
}
