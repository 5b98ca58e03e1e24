/** The history, put the way the checkers ask: what was acknowledged where, what was seen where. */
import { eventsOf, type History } from '../history.ts';

export interface AckedValue {
  readonly queue: number;
  readonly offset: number;
  readonly value: string;
}

export function listOf<K, V>(map: Map<K, V[]>, key: K): V[] {
  const known = map.get(key);
  if (known !== undefined) return known;
  const fresh: V[] = [];
  map.set(key, fresh);
  return fresh;
}

export function valuesOfTransactions(history: History): Map<string, readonly string[]> {
  return new Map(eventsOf(history, 'prepare').map((p) => [p.transaction, p.values]));
}

/** Every message with an acknowledged offset: produced, or a half message that was committed. */
export function ackedValues(history: History): AckedValue[] {
  const halves = valuesOfTransactions(history);
  const produced = eventsOf(history, 'produce');
  const committed = eventsOf(history, 'end')
    .filter(({ decision }) => decision === 'commit')
    .map((end) => ({ ...end, values: halves.get(end.transaction) ?? [] }));
  return [...produced, ...committed].flatMap(({ outcome, queue, baseOffset, values }) =>
    outcome === 'ok' && baseOffset !== undefined
      ? values.map((value, i) => ({ queue, offset: baseOffset + i, value }))
      : [],
  );
}

export interface SeenValue extends AckedValue {
  readonly node: number;
  readonly process: string;
  readonly completedMs: number;
  readonly last: boolean;
}

/** Every message that any read showed, also those of reads that then failed. */
export function* seenValues(history: History): Generator<SeenValue> {
  for (const read of eventsOf(history, 'read')) {
    const { queue, node, process, completedMs, last } = read;
    for (const batch of read.batches) {
      for (const [i, value] of batch.values.entries()) {
        yield { queue, offset: batch.offset + i, value, node, process, completedMs, last };
      }
    }
  }
}
