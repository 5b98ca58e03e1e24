/** Anomalies of transactions. */
import { type End, eventsOf, type History, type Prepare, type Read } from '../history.ts';
import type { Anomaly } from './anomalies.ts';
import { inserted, middle, replaced, withReads } from './edit.ts';

interface Committed {
  readonly prepare: Prepare;
  readonly end: End;
}

export const TRANSACTION_ANOMALIES: readonly Anomaly[] = [
  {
    property: 'transaction-atomicity',
    what: 'one message of a committed transaction is missing',
    plant(history) {
      const values = committed(history, 2)?.prepare.values;
      return values && withReads(history, (shown) => (shown === values[0] ? undefined : shown));
    },
  },
  {
    property: 'transaction-durability',
    what: 'a committed transaction is not there after the run',
    plant(history) {
      const values = committed(history, 1)?.prepare.values;
      return values && withReads(history, (shown) => (values.includes(shown) ? undefined : shown));
    },
  },
  {
    property: 'transaction-durability',
    what: 'nobody knows a half message that was prepared',
    plant(history) {
      const end = committed(history, 1)?.end;
      if (end === undefined) return undefined;
      const { baseOffset: _, state: _said, ...asked } = end;
      return inserted(history, end, { ...asked, outcome: 'fail', reason: 'TRANSACTION_NOT_FOUND' });
    },
  },
  {
    property: 'half-invisible',
    what: 'a half message is read before its commit',
    plant(history) {
      const found = committed(history, 1);
      const value = found?.prepare.values[0] ?? '';
      const read = firstRead(history, value);
      if (found === undefined || read === undefined) return undefined;
      const completedMs = found.prepare.invokedMs;
      return replaced(history, read, { invokedMs: completedMs - 1, completedMs });
    },
  },
  {
    property: 'one-outcome',
    what: 'a committed transaction is rolled back, too',
    plant(history) {
      const end = committed(history, 1)?.end;
      if (end === undefined) return undefined;
      const { baseOffset: _, ...asked } = end;
      return inserted(history, end, { ...asked, decision: 'rollback', state: 'ROLLED_BACK' });
    },
  },
  {
    property: 'one-outcome',
    what: 'a producer is asked about a transaction that it ended',
    plant(history) {
      const found = committed(history, 1);
      if (found === undefined) return undefined;
      const { transaction, values } = found.prepare;
      const invokedMs = found.end.completedMs + 1;
      return inserted(history, found.end, {
        ...{ type: 'check', process: 'checks', outcome: 'ok', transaction, count: 1, values },
        ...{ invokedMs, completedMs: invokedMs + 1 },
      });
    },
  },
  {
    property: 'aborted-read',
    what: 'a transaction that was rolled back is read',
    plant(history) {
      const end = committed(history, 1)?.end;
      if (end === undefined) return undefined;
      const { baseOffset: _, state: _said, ...asked } = end;
      return history.map((event) => (event === end ? { ...asked, decision: 'rollback' } : event));
    },
  },
];

/** One with so many messages at least, ended in one attempt. */
function committed(history: History, messagesMin: number): Committed | undefined {
  const prepares = new Map<string, Prepare>();
  for (const prepare of eventsOf(history, 'prepare')) {
    if (prepare.outcome === 'ok') prepares.set(prepare.transaction, prepare);
  }
  const ends = eventsOf(history, 'end');
  const attempts = new Map<string, number>();
  for (const { transaction } of ends) {
    attempts.set(transaction, (attempts.get(transaction) ?? 0) + 1);
  }
  const found = ends.flatMap((end) => {
    const prepare = prepares.get(end.transaction);
    if (prepare === undefined || prepare.values.length < messagesMin) return [];
    if (end.decision !== 'commit' || end.baseOffset === undefined) return [];
    return attempts.get(end.transaction) === 1 ? [{ prepare, end }] : [];
  });
  return middle(found);
}

function firstRead(history: History, value: string): Read | undefined {
  return eventsOf(history, 'read').find(({ batches }) =>
    batches.some(({ values }) => values.includes(value)),
  );
}
