/** What a history says of one queue, and of the run: enough to judge that queue by itself. */
import type { History, HistoryEvent } from '../history.ts';

export function trimmed(history: History, queue: number): History {
  const transactions = new Set<string>();
  const isKept = (event: HistoryEvent): boolean => {
    if (event.type === 'check') return transactions.has(event.transaction);
    if (!('queue' in event)) return event.type !== 'topic';
    const isHere = event.queue === queue && !('topic' in event);
    if (isHere && event.type === 'prepare') transactions.add(event.transaction);
    return isHere;
  };
  return history.filter(isKept);
}

/** Of the queues that the lines of a finding are about, the first; 0 when they are about none. */
export function queueOf(history: History, lines: readonly number[]): number {
  for (const line of lines) {
    const event = history[line - 1];
    if (event !== undefined && 'queue' in event && !('topic' in event)) return event.queue;
  }
  return 0;
}
