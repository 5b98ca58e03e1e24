/** A refusal that claims to be without effect tells the truth. */
import { eventsOf, type History, type Outcome } from '../history.ts';
import type { Finding } from './finding.ts';
import { listOf, seenValues } from './views.ts';

/** Seen, or answered as a repetition, although every earlier attempt was refused for certain. */
export function falseRefusals(history: History): Finding[] {
  const findings: Finding[] = [];
  const outcomes = new Map<string, Outcome[]>();
  const valuesOf = new Map<string, readonly string[]>();
  for (const attempt of eventsOf(history, 'produce')) {
    const write = `${attempt.producer}, queue ${attempt.queue}, sequence ${attempt.sequence}`;
    const earlier = listOf(outcomes, write);
    if (attempt.duplicate === true && earlier.every((outcome) => outcome === 'fail')) {
      findings.push({ kind: 'false_refusals', text: `${write}: refused, yet it was stored` });
    }
    earlier.push(attempt.outcome);
    valuesOf.set(write, attempt.values);
  }
  const seen = new Set([...seenValues(history)].map(({ value }) => value));
  for (const [write, all] of outcomes) {
    if (all.some((outcome) => outcome !== 'fail')) continue;
    if (!valuesOf.get(write)?.some((value) => seen.has(value))) continue;
    findings.push({ kind: 'false_refusals', text: `${write}: refused, yet it is read` });
  }
  return findings;
}
