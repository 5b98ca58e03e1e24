/** Anomalies of transactions over several queues, of offsets that move with them, and of lists. */
import { type Committed, type End, eventsOf, type History, type Prepare } from '../history.ts';
import type { Anomaly } from './anomalies.ts';
import { middle, replaced, withReads } from './edit.ts';

export const SEVERAL_QUEUES_ANOMALIES: readonly Anomaly[] = [
  {
    property: 'transaction-atomicity',
    what: 'a committed transaction is missing in one of its queues',
    plant(history) {
      const found = middle(committedIn(history).filter(({ others = [] }) => others.length > 0));
      const values = found?.others?.[0]?.values;
      return values && withReads(history, (shown) => (values.includes(shown) ? undefined : shown));
    },
  },
  {
    property: 'transaction-atomicity',
    what: 'two lives of one consumer made something of the same message',
    plant(history) {
      const found = middle(moversIn(history).filter(({ moves }) => (moves?.[0]?.from ?? 0) > 0));
      const moves = found?.moves?.map((move) => ({ ...move, from: (move.from ?? 0) - 1 }));
      return found && moves && replaced(history, found, { moves });
    },
  },
  {
    property: 'transaction-atomicity',
    what: 'the offset of a group does not go with the messages that were made of it',
    plant(history) {
      const look = moverLooks(history).at(-1);
      return look && replaced(history, look, { offset: (look.offset ?? 0) - 1 });
    },
  },
  {
    property: 'committed-offset',
    what: 'an offset that moved with a transaction falls',
    plant(history) {
      const look = moverLooks(history).at(-1);
      return look && replaced(history, look, { offset: (look.offset ?? 0) - 1 });
    },
  },
  {
    property: 'half-invisible',
    what: 'an offset shows before the commit of its transaction',
    plant(history) {
      const looks = moverLooks(history);
      const found = middle(moversIn(history).filter((one) => firstLook(looks, one) !== undefined));
      const look = found && firstLook(looks, found);
      if (found === undefined || look === undefined) return undefined;
      const completedMs = found.invokedMs;
      return replaced(history, look, { invokedMs: completedMs - 1, completedMs });
    },
  },
  {
    property: 'transaction-durability',
    what: 'a half message is dropped without an outcome',
    plant(history) {
      const ends = endsOf(history);
      const [found] = preparesIn(history).filter(({ transaction }) => {
        const said = ends.get(transaction);
        return said?.length === 1 && said[0]?.decision === 'rollback' && said[0]?.outcome === 'ok';
      });
      const end = ends.get(found?.transaction ?? '')?.[0];
      return end && history.filter((event) => event !== end);
    },
  },
  {
    property: 'one-outcome',
    what: 'a transaction is listed as open that ended long ago',
    plant(history) {
      const list = eventsOf(history, 'open').at(-1);
      const found = middle(committedIn(history));
      if (list === undefined || found === undefined) return undefined;
      const listed = { transaction: found.transaction, state: 'UNDECIDED' } as const;
      return replaced(history, list, { transactions: [...list.transactions, listed] });
    },
  },
  {
    property: 'settled',
    what: 'nobody gives up a preparation whose client died',
    plant(history) {
      const list = eventsOf(history, 'open').at(-1);
      const begun = eventsOf(history, 'prepare').find(({ outcome }) => outcome === 'unknown');
      if (list === undefined || begun === undefined) return undefined;
      const transactions = [{ transaction: begun.transaction, state: 'PREPARING' }] as const;
      return replaced(history, list, { transactions, afterChecks: true });
    },
  },
];

function preparesIn(history: History): Prepare[] {
  return eventsOf(history, 'prepare').filter(({ outcome }) => outcome === 'ok');
}

function endsOf(history: History): ReadonlyMap<string, readonly End[]> {
  const ends = new Map<string, End[]>();
  for (const end of eventsOf(history, 'end')) {
    const known = ends.get(end.transaction);
    if (known === undefined) ends.set(end.transaction, [end]);
    else known.push(end);
  }
  return ends;
}

/** Prepared in one attempt, and acknowledged as committed. */
function committedIn(history: History): Prepare[] {
  const ends = endsOf(history);
  const attempts = new Map<string, number>();
  for (const { transaction } of eventsOf(history, 'prepare')) {
    attempts.set(transaction, (attempts.get(transaction) ?? 0) + 1);
  }
  return preparesIn(history).filter(({ transaction }) => {
    const said = ends.get(transaction) ?? [];
    const isAcked = said.some(({ decision, outcome }) => decision === 'commit' && outcome === 'ok');
    return isAcked && attempts.get(transaction) === 1;
  });
}

function moversIn(history: History): Prepare[] {
  return committedIn(history).filter(({ moves = [] }) => moves.length > 0);
}

/** What was seen of a group that only transactions move. */
function moverLooks(history: History): Committed[] {
  const groups = new Set(moversIn(history).map(({ moves }) => moves![0]!.group));
  return eventsOf(history, 'committed').filter(
    ({ group, offset, outcome }) => groups.has(group) && outcome === 'ok' && (offset ?? 0) > 0,
  );
}

function firstLook(looks: readonly Committed[], { moves = [] }: Prepare): Committed | undefined {
  const [move] = moves;
  return looks.find(({ queue, topic, offset }) => {
    return queue === move?.queue && topic === move?.topic && offset === move?.offset;
  });
}
