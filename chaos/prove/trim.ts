/** What a history says of some queues, and of the run: enough to judge those by themselves. */
import { logOf } from '../checker/facts.ts';
import { eventsOf, type History, type HistoryEvent, type InQueue } from '../history.ts';

export function trimmed(history: History, logs: ReadonlySet<string>): History {
  const prepares = eventsOf(history, 'prepare');
  const transactions = new Set(
    prepares
      .filter((prepare) => queuesIn(prepare).some((place) => logs.has(logOf(place))))
      .map(({ transaction }) => transaction),
  );
  return history.filter((event) => {
    if ('transaction' in event) return transactions.has(event.transaction);
    const places = queuesIn(event);
    if (places.length > 0) return places.some((place) => logs.has(logOf(place)));
    // Without an answer it may have given anything.
    if (event.type === 'receive') return event.outcome !== 'ok';
    return event.type !== 'topic';
  });
}

/** What the lines of a finding are about; queue 0 of the topic of the run when that is none. */
export function logsOf(history: History, lines: readonly number[]): ReadonlySet<string> {
  const events = lines.flatMap((line) => history[line - 1] ?? []);
  const logs = new Set(events.flatMap(queuesIn).map(logOf));
  return logs.size > 0 ? logs : new Set([logOf({ queue: 0 })]);
}

function queuesIn(event: HistoryEvent): readonly InQueue[] {
  switch (event.type) {
    case 'prepare':
      return [event, ...(event.others ?? []), ...(event.moves ?? [])];
    case 'receive':
      return event.deliveries.map(({ queue }) => ({ topic: event.topic, queue }));
    case 'settle':
      return event.items.map(({ queue }) => ({ topic: event.topic, queue }));
    default:
      return 'queue' in event ? [event] : [];
  }
}
