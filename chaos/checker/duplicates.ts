/** A (producer, sequence), and a half message, is stored once however often it was sent. */
import type { History } from '../history.ts';
import type { Finding } from './finding.ts';
import { seenValues } from './views.ts';

export function duplicates(history: History): Finding[] {
  const places = new Map<string, Set<string>>();
  for (const { queue, offset, value } of seenValues(history)) {
    const known = places.get(value);
    const place = `queue ${queue} offset ${offset}`;
    if (known === undefined) places.set(value, new Set([place]));
    else known.add(place);
  }
  return [...places]
    .filter(([, where]) => where.size > 1)
    .map(([value, where]) => ({
      kind: 'duplicated' as const,
      text: `${value} is at ${[...where].join(' and ')}`,
    }));
}
