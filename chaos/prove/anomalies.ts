/** At least one anomaly of every kind that the checker promises to find, to be planted in a run. */
import { eventsOf, type History } from '../history.ts';
import { DELAY_ANOMALIES } from './delay-anomalies.ts';
import { DELIVERY_ANOMALIES } from './delivery-anomalies.ts';
import { middle, withReads } from './edit.ts';
import { GROUP_ANOMALIES } from './group-anomalies.ts';
import { LATE_ANOMALIES } from './late-anomalies.ts';
import { ORDER_ANOMALIES } from './order-anomalies.ts';
import { SEVERAL_QUEUES_ANOMALIES } from './several-queues-anomalies.ts';
import { TRANSACTION_ANOMALIES } from './transaction-anomalies.ts';
import { ackedWrites, inMainTopic, isWrite, type Written } from './written.ts';

export interface Anomaly {
  /** The property that has to find it; others may, too. */
  readonly property: string;
  /** What the store did wrong. */
  readonly what: string;
  /** Undefined: the history has nothing to plant it in. */
  plant(history: History): History | undefined;
}

export const ANOMALIES: readonly Anomaly[] = [
  {
    property: 'lost-write',
    what: 'an acknowledged write is never read, later ones are',
    plant: (history) => without(history, middle(ackedWrites(history))),
  },
  {
    property: 'unseen',
    what: 'the last acknowledged write was read, and is gone after the run',
    plant(history) {
      const write = ackedWrites(history).at(-1);
      const isOf = isWrite(write);
      return (
        write && withReads(history, (value, _, { last }) => kept(value, !last || !isOf(value)))
      );
    },
  },
  {
    property: 'divergence',
    what: 'two messages stand in another order on one node',
    plant(history) {
      const write = middle(ackedWrites(history).filter(({ values }) => values.length > 1));
      const [a, b] = write?.values ?? [];
      return (
        write &&
        withReads(history, (value, _, { last, node }) => {
          if (!last || node !== 2) return value;
          return value === a ? b : value === b ? a : value;
        })
      );
    },
  },
  {
    property: 'phantom',
    what: 'one read shows other bytes',
    plant(history) {
      const value = middle(ackedWrites(history))?.values[0];
      const read = eventsOf(history, 'read').find((one) => shows(one, value));
      return (
        read &&
        withReads(history, (shown, _, one) => {
          return one === read && shown === value ? `damaged ${shown} 01234567` : shown;
        })
      );
    },
  },
  {
    property: 'aborted-read',
    what: 'a write is there although it was refused for certain',
    plant(history) {
      const isOf = isWrite(middle(ackedWrites(history)));
      return history.map((event) => {
        if (event.type !== 'produce' || !isOf(event.values[0]!)) return event;
        const { baseOffset: _, duplicate: _answered, ...asked } = event;
        return { ...asked, outcome: 'fail', reason: 'NOT_LEADER' };
      });
    },
  },
  {
    property: 'inconsistent-offsets',
    what: 'a read shows what was cut off the log later',
    plant(history) {
      const value = middle(ackedWrites(history))?.values[0];
      const other = ackedWrites(history).at(-1)?.values[0];
      const read = eventsOf(history, 'read').find((one) => !one.last && shows(one, value));
      return (
        read &&
        withReads(history, (shown, _, one) => {
          return one === read && shown === value ? other : shown;
        })
      );
    },
  },
  {
    property: 'duplicate',
    what: 'a message of a producer with sequences is stored again at the end',
    plant(history) {
      const values = middle(ackedWrites(history))?.values;
      const finals = eventsOf(history, 'final').filter(inMainTopic);
      const queue = middle(ackedWrites(history))?.queue;
      return (
        values &&
        history.flatMap((event) => {
          if (event.type !== 'final' || !finals.includes(event) || event.queue !== queue)
            return [event];
          const { node, endOffset: end } = event;
          const again = { offset: end, values };
          const endOffset = end + values.length;
          const nobody = { process: `final-${node}`, invokedMs: 1e9, completedMs: 1e9 + 1 };
          const read = {
            ...nobody,
            outcome: 'ok',
            node,
            queue,
            from: end,
            endOffset,
            last: true,
          } as const;
          return [
            { type: 'read', ...read, batches: [again] },
            { ...event, endOffset },
          ];
        })
      );
    },
  },
  {
    property: 'dense-offsets',
    what: 'no node has a message at one offset after the run',
    plant(history) {
      const value = middle(ackedWrites(history))?.values[0];
      return withReads(history, (shown, _, { last }) => kept(shown, !last || shown !== value));
    },
  },
  ...DELAY_ANOMALIES,
  ...DELIVERY_ANOMALIES,
  ...GROUP_ANOMALIES,
  ...LATE_ANOMALIES,
  ...ORDER_ANOMALIES,
  ...TRANSACTION_ANOMALIES,
  ...SEVERAL_QUEUES_ANOMALIES,
];

function kept(value: string, isKept: boolean): string | undefined {
  return isKept ? value : undefined;
}

function shows(
  read: { batches: readonly { values: readonly string[] }[] },
  value?: string,
): boolean {
  return value !== undefined && read.batches.some(({ values }) => values.includes(value));
}

function without(history: History, write: Written | undefined): History | undefined {
  const isOf = isWrite(write);
  return write && withReads(history, (value) => kept(value, !isOf(value)));
}
