/** What a store does wrong that keeps messages back for a while. */
import { eventsOf, type History, type Produce } from '../history.ts';
import type { Anomaly } from './anomalies.ts';
import { inserted, middle, replaced } from './edit.ts';
import { ackedWrites } from './written.ts';

const LONG_MS = 600_000;

export const DELAY_ANOMALIES: readonly Anomaly[] = [
  {
    property: 'delay-never-early',
    what: 'a message is read long before it is due',
    plant(history) {
      const write = someWrite(history);
      return write && replaced(history, write, { deliverAtMs: write.completedMs + LONG_MS });
    },
  },
  {
    property: 'delay-never-early',
    what: 'a message is read that was taken back',
    plant(history) {
      const write = someWrite(history);
      if (write === undefined) return undefined;
      const { process, queue, values, completedMs } = write;
      const times = { invokedMs: completedMs, completedMs: completedMs + 1 };
      const recall = { type: 'recall', process, ...times, outcome: 'ok', queue, values } as const;
      const recalled = inserted(history, write, recall);
      return replaced(recalled, write, { deliverAtMs: write.invokedMs });
    },
  },
];

function someWrite(history: History): Produce | undefined {
  const value = middle(ackedWrites(history))?.values[0];
  return eventsOf(history, 'produce').find(({ values }) => values[0] === value);
}
