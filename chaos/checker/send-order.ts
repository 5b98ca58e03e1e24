/** The messages of one producer stand in its queue in the order of their sequences. */
import { eventsOf, type History } from '../history.ts';
import type { Finding } from './finding.ts';
import { ackedValues, seenValues } from './views.ts';

interface Origin {
  readonly producer: string;
  readonly sequence: number;
}

export function sendOrder(history: History): Finding[] {
  const origins = new Map<string, Origin>();
  for (const { producer, sequence, values } of eventsOf(history, 'produce')) {
    for (const [i, value] of values.entries()) {
      origins.set(value, { producer, sequence: sequence + i });
    }
  }
  const lines = new Map<string, Map<number, number>>();
  const place = (queue: number, offset: number, value: string) => {
    const origin = origins.get(value);
    if (origin === undefined) return;
    const name = `${origin.producer} in queue ${queue}`;
    const line = lines.get(name) ?? new Map<number, number>();
    lines.set(name, line.set(offset, origin.sequence));
  };
  for (const { queue, offset, value } of ackedValues(history)) place(queue, offset, value);
  for (const { queue, offset, value } of seenValues(history)) place(queue, offset, value);
  return [...lines].flatMap(([name, line]) => falls(name, line));
}

function falls(name: string, line: ReadonlyMap<number, number>): Finding[] {
  const byOffset = [...line].sort(([a], [b]) => a - b);
  return byOffset.flatMap(([offset, sequence], i) => {
    const before = byOffset[i - 1];
    if (before === undefined || before[1] < sequence) return [];
    const text = `${name}: ${before[1]} at offset ${before[0]}, then ${sequence} at ${offset}`;
    return [{ kind: 'reordered' as const, text }];
  });
}
