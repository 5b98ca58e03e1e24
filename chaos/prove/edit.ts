/** Changes of a recorded history, as a broken store would have left them in it. */
import type { History, HistoryEvent, Read, ReadBatch } from '../history.ts';

export type Rewrite = (value: string, offset: number, read: Read) => string | undefined;

/** Every read with other values at its offsets; undefined: nothing there. */
export function withReads(history: History, rewrite: Rewrite): History {
  return history.map((event) => {
    if (event.type !== 'read') return event;
    return { ...event, batches: event.batches.flatMap((batch) => runsOf(batch, event, rewrite)) };
  });
}

function runsOf({ offset: base, values }: ReadBatch, read: Read, rewrite: Rewrite): ReadBatch[] {
  const runs: { offset: number; values: string[] }[] = [];
  for (const [i, value] of values.entries()) {
    const shown = rewrite(value, base + i, read);
    const last = runs.at(-1);
    if (shown === undefined) continue;
    if (last !== undefined && last.offset + last.values.length === base + i) {
      last.values.push(shown);
    } else runs.push({ offset: base + i, values: [shown] });
  }
  return runs;
}

/** Exactly that line, and no copy of it. */
export function replaced<T extends HistoryEvent>(
  history: History,
  event: T,
  changed: Partial<T>,
): History {
  return history.map((other) => (other === event ? { ...event, ...changed } : other));
}

/** Right behind the line, as it would have been written down. */
export function inserted(history: History, behind: HistoryEvent, event: HistoryEvent): History {
  return history.flatMap((other) => (other === behind ? [other, event] : [other]));
}

/** One of many, far from both ends of a run. */
export function middle<T>(list: readonly T[]): T | undefined {
  return list[Math.floor(list.length / 2)];
}
