/** Anomalies of what comes twice or too late, and of lists of offsets. */
import { eventsOf, type History, type Produce } from '../history.ts';
import type { Anomaly } from './anomalies.ts';
import { middle, replaced } from './edit.ts';
import { inMainTopic } from './written.ts';

/** Where nothing else is. */
const ELSEWHERE = 1_000_000;

export const LATE_ANOMALIES: readonly Anomaly[] = [
  {
    property: 'duplicate',
    what: 'a request that was acknowledged comes again, and is stored again',
    plant(history) {
      const again = middle(repetitions(history));
      return again && replaced(history, again, { baseOffset: ELSEWHERE });
    },
  },
  {
    property: 'duplicate',
    what: 'nobody remembers a request that was acknowledged when it comes again',
    plant(history) {
      const again = middle(repetitions(history));
      return again && replaced(history, again, { duplicate: false });
    },
  },
  {
    property: 'send-order',
    what: 'a request of a former epoch is stored behind a newer one',
    plant(history) {
      const late = middle(
        eventsOf(history, 'produce').filter(({ reason }) => reason === 'PRODUCER_FENCED'),
      );
      // It may be a repetition: what was stored in its own time stays where it is.
      const values = late?.values.map((value) => `${value} late`);
      const stored = { outcome: 'ok', baseOffset: ELSEWHERE } as const;
      return late && values && replaced(history, late, { ...stored, values });
    },
  },
  {
    property: 'one-outcome',
    what: 'a late end turns a transaction over',
    plant(history) {
      const late = middle(
        eventsOf(history, 'end').filter(({ reason }) => reason === 'TRANSACTION_ENDED'),
      );
      return late && replaced(history, late, { outcome: 'ok' });
    },
  },
  {
    property: 'linearizable-fetch',
    what: 'a list of offsets does not know what was acknowledged',
    plant(history) {
      const list = eventsOf(history, 'listed').findLast(({ endOffset }) => endOffset > 0);
      return list && replaced(history, list, { endOffset: 0 });
    },
  },
  {
    property: 'linearizable-fetch',
    what: 'asked by time, a node passes a message over',
    plant(history) {
      const list = middle(
        eventsOf(history, 'listed').filter(({ beforeMs }) => beforeMs !== undefined),
      );
      return list && replaced(history, list, { beforeMs: list.soughtMs ?? 0 });
    },
  },
];

/** Begun after the first answer. */
function repetitions(history: History): readonly Produce[] {
  const ackedMs = new Map<string, number>();
  return eventsOf(history, 'produce').filter((line) => {
    const { invokedMs, completedMs, outcome, baseOffset, values } = line;
    if (outcome !== 'ok' || baseOffset === undefined || !inMainTopic(line)) return false;
    const firstMs = ackedMs.get(values[0]!);
    if (firstMs === undefined) ackedMs.set(values[0]!, completedMs);
    return firstMs !== undefined && firstMs < invokedMs;
  });
}
