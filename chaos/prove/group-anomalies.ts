/**
 * What a store does wrong that shares queues among members, or knows messages by their keys. A
 * history of before there were members gets some.
 */
import { type Commit, eventsOf, type Held, type History, type Produce } from '../history.ts';
import type { Anomaly } from './anomalies.ts';
import { inserted, middle } from './edit.ts';
import { ackedWrites } from './written.ts';

const LONG_MS = 1000;
const GROUP = 'planted';

export const GROUP_ANOMALIES: readonly Anomaly[] = [
  {
    property: 'group-exclusivity',
    what: 'a queue is given to a second member at once',
    plant(history) {
      const write = someWrite(history);
      if (write === undefined) return undefined;
      const first = eventsOf(history, 'held').find(
        ({ invokedMs, completedMs }) => completedMs > invokedMs + 1,
      );
      if (first !== undefined) {
        return inserted(history, first, { ...first, process: 'somebody else' });
      }
      const both = ['one', 'other'].map((process) => heldFrom(write, process, 5));
      return both.reduce((changed, held) => inserted(changed, write, held), history);
    },
  },
  {
    property: 'group-exclusivity',
    what: 'a commit of a former generation counts',
    plant(history) {
      const write = someWrite(history);
      if (write === undefined) return undefined;
      const { completedMs, queue } = write;
      const times = { invokedMs: completedMs + 2, completedMs: completedMs + 3 };
      const commit: Commit = {
        ...{ type: 'commit', process: 'one', ...times, outcome: 'ok' },
        ...{ group: GROUP, queue, offset: 1, generation: 4 },
      };
      return inserted(inserted(history, write, commit), write, heldFrom(write, 'other', 5));
    },
  },
  {
    property: 'duplicate',
    what: 'a message whose key is known is answered as new',
    plant(history) {
      const write = someWrite(history);
      if (write === undefined) return undefined;
      const { sequence: _, duplicate: _known, ...asked } = write;
      const times = { invokedMs: write.completedMs + 1, completedMs: write.completedMs + 2 };
      return inserted(history, write, { ...asked, producer: 'keyed', ...times });
    },
  },
];

function someWrite(history: History): Produce | undefined {
  const value = middle(ackedWrites(history))?.values[0];
  return eventsOf(history, 'produce').find(
    ({ values, outcome, producer }) =>
      values[0] === value && outcome === 'ok' && producer !== undefined,
  );
}

function heldFrom({ completedMs, queue }: Produce, process: string, since: number): Held {
  const times = { invokedMs: completedMs + 1, completedMs: completedMs + LONG_MS };
  return { type: 'held', process, ...times, outcome: 'ok', group: GROUP, queue, since };
}
