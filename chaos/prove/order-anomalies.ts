/** Anomalies of order: among writes, reads, and committed offsets. */
import { eventsOf, type History } from '../history.ts';
import type { Anomaly } from './anomalies.ts';
import { inserted, middle, replaced, withReads } from './edit.ts';
import { ackedWrites, inMainTopic, type Written } from './written.ts';

export const ORDER_ANOMALIES: readonly Anomaly[] = [
  {
    property: 'send-order',
    what: 'two writes of one producer stand in the wrong order for everybody',
    plant: (history) =>
      exchanged(
        history,
        pairOf(history, (a, b) => a.producer === b.producer),
      ),
  },
  {
    property: 'linearizable-produce',
    what: 'a write stands before one that was acknowledged before it began',
    plant: (history) =>
      exchanged(
        history,
        pairOf(history, (a, b) => a.producer !== b.producer),
      ),
  },
  {
    property: 'linearizable-fetch',
    what: 'a linearizable fetch does not see what was acknowledged',
    plant(history) {
      const reads = eventsOf(history, 'read').filter(
        (read) => inMainTopic(read) && read.linearizable === true && read.outcome === 'ok',
      );
      const read = middle(reads.filter(({ last, endOffset }) => !last && endOffset > 0));
      return read && replaced(history, read, { batches: [], nextOffset: read.from, endOffset: 0 });
    },
  },
  {
    property: 'poll-order',
    what: 'a consumer is sent past messages',
    plant(history) {
      const polls = eventsOf(history, 'read').filter(
        ({ last, outcome, batches }) => !last && outcome === 'ok' && batches.length > 0,
      );
      const read = middle(polls);
      return read && history.filter((event) => event !== read);
    },
  },
  {
    property: 'committed-offset',
    what: 'a group stands where it stood before its last commit',
    plant(history) {
      const looks = eventsOf(history, 'committed').filter(
        ({ outcome, offset = 0 }) => outcome === 'ok' && offset > 0,
      );
      const look = looks.at(-1);
      return look && replaced(history, look, { offset: (look.offset ?? 1) - 1 });
    },
  },
  {
    property: 'committed-offset',
    what: 'a group is forgotten',
    plant(history) {
      const look = eventsOf(history, 'committed').findLast(({ offset = 0 }) => offset > 0);
      if (look === undefined) return undefined;
      const { offset: _, ...nothing } = look;
      return history.map((event) => (event === look ? nothing : event));
    },
  },
  {
    property: 'retention',
    what: 'messages are let go of that nobody allowed to go',
    plant(history) {
      const read = middle(
        eventsOf(history, 'read').filter((one) => inMainTopic(one) && one.endOffset > 0),
      );
      return read && replaced(history, read, { startOffset: read.endOffset });
    },
  },
  {
    property: 'one-leader',
    what: 'two nodes lead a shard in one term, as after a vote that was forgotten',
    plant(history) {
      const seen = middle(eventsOf(history, 'leader'));
      return seen && inserted(history, seen, { ...seen, node: seen.node + 1 });
    },
  },
];

/** Two writes of as many messages, the second begun after the first was acknowledged. */
function pairOf(
  history: History,
  fits: (a: Written, b: Written) => boolean,
): readonly [Written, Written] | undefined {
  const writes = ackedWrites(history);
  for (const a of writes.slice(Math.floor(writes.length / 2))) {
    const b = writes.find(
      (other) =>
        other.queue === a.queue &&
        other.values.length === a.values.length &&
        other.invokedMs > a.completedMs &&
        fits(a, other),
    );
    if (b !== undefined) return [a, b];
  }
  return undefined;
}

/** In every answer and in every read. */
function exchanged(
  history: History,
  pair: readonly [Written, Written] | undefined,
): History | undefined {
  if (pair === undefined) return undefined;
  const [a, b] = pair;
  const other = new Map<string, string>();
  for (const [i, value] of a.values.entries()) {
    other.set(value, b.values[i]!);
    other.set(b.values[i]!, value);
  }
  const base = new Map([
    [a.values[0], b.baseOffset],
    [b.values[0], a.baseOffset],
  ]);
  return withReads(history, (value) => other.get(value) ?? value).map((event) => {
    const baseOffset = event.type === 'produce' ? base.get(event.values[0]) : undefined;
    return event.type !== 'produce' || baseOffset === undefined ? event : { ...event, baseOffset };
  });
}
