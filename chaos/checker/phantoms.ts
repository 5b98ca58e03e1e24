/** Nothing is read that was not sent, byte for byte, to that queue. */
import { eventsOf, type History } from '../history.ts';
import type { Finding } from './finding.ts';
import { seenValues } from './views.ts';

export function phantoms(history: History): Finding[] {
  const sent = new Map<string, number>();
  for (const { queue, values } of [
    ...eventsOf(history, 'produce'),
    ...eventsOf(history, 'prepare'),
  ]) {
    for (const value of values) sent.set(value, queue);
  }
  const findings = new Map<string, Finding>();
  for (const { queue, offset, value } of seenValues(history)) {
    if (sent.get(value) === queue) continue;
    const text = `queue ${queue}, offset ${offset}: ${value} was never sent there`;
    findings.set(text, { kind: 'phantoms', text });
  }
  return [...findings.values()];
}
