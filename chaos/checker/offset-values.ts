/** An offset holds one value for ever, whoever reads it, before and after a change of leaders. */
import type { History } from '../history.ts';
import type { Finding } from './finding.ts';
import { ackedValues, seenValues } from './views.ts';

export function offsetValues(history: History): Finding[] {
  const held = new Map<string, string>();
  const findings = new Map<string, Finding>();
  const holds = (queue: number, offset: number, value: string) => {
    const place = `queue ${queue}, offset ${offset}`;
    const known = held.get(place);
    if (known === undefined) held.set(place, value);
    else if (known !== value) {
      const text = `${place}: holds ${known} and ${value}`;
      findings.set(text, { kind: 'conflicting', text });
    }
  };
  for (const { queue, offset, value } of ackedValues(history)) holds(queue, offset, value);
  for (const { queue, offset, value } of seenValues(history)) holds(queue, offset, value);
  return [...findings.values()];
}
