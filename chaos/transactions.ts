/** How many transactions of a run ended how: by what its clients were told, or read. */
import { type End, eventsOf, type History, type Prepare } from './history.ts';

export interface TransactionCounts {
  /** That a client asked to prepare. */
  readonly begun: number;
  readonly committed: number;
  readonly rolled_back: number;
  /** Listed after the run, to be asked about or decided by an operator. */
  readonly undecided: number;
  readonly parked: number;
  /** No answer says that it was ever prepared, and nothing shows. */
  readonly not_prepared: number;
  /** Prepared, and no answer to any End of it came: nothing of it shows, and it is not listed. */
  readonly unanswered: number;
}

type Outcome = Exclude<keyof TransactionCounts, 'begun'>;

/** Undefined: there were none. */
export function countTransactions(history: History): TransactionCounts | undefined {
  const prepares = groupedBy(eventsOf(history, 'prepare'));
  if (prepares.size === 0) return undefined;
  const ends = groupedBy(eventsOf(history, 'end'));
  const open = new Map(
    (eventsOf(history, 'open').at(-1)?.transactions ?? []).map(
      ({ transaction, state }) => [transaction, state] as const,
    ),
  );
  const shown = shownValues(history);
  const counts: Record<keyof TransactionCounts, number> = {
    ...{ begun: prepares.size, committed: 0, rolled_back: 0, undecided: 0, parked: 0 },
    ...{ not_prepared: 0, unanswered: 0 },
  };
  for (const [id, attempts] of prepares) {
    counts[outcomeOf(attempts, ends.get(id) ?? [], open.get(id), shown)] += 1;
  }
  return counts;
}

function outcomeOf(
  prepares: readonly Prepare[],
  ends: readonly End[],
  listed: string | undefined,
  shown: ReadonlySet<string>,
): Outcome {
  const isSaid = (decision: End['decision'], said: End['state']) =>
    ends.some((end) => end.state === said || (end.outcome === 'ok' && end.decision === decision));
  if (isSaid('commit', 'COMMITTED') || shown.has(prepares[0]!.values[0]!)) return 'committed';
  if (isSaid('rollback', 'ROLLED_BACK')) return 'rolled_back';
  if (listed === 'PARKED') return 'parked';
  if (listed === 'UNDECIDED') return 'undecided';
  return prepares.some(({ outcome }) => outcome === 'ok') ? 'unanswered' : 'not_prepared';
}

function groupedBy<T extends { readonly transaction: string }>(
  events: readonly T[],
): Map<string, T[]> {
  const groups = new Map<string, T[]>();
  for (const event of events) {
    const known = groups.get(event.transaction);
    if (known === undefined) groups.set(event.transaction, [event]);
    else known.push(event);
  }
  return groups;
}

function shownValues(history: History): Set<string> {
  const shown = new Set<string>();
  for (const { batches } of eventsOf(history, 'read')) {
    for (const { values } of batches) for (const value of values) shown.add(value);
  }
  return shown;
}
