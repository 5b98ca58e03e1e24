/** P8: every read goes on exactly where it was asked to, within one poll and between two. */
import { type Line, logOf } from './facts.ts';
import type { Finding, Property } from './property.ts';

export const pollOrder: Property = {
  id: 'P8',
  name: 'poll-order',
  says: 'One poll steps by one offset at a time, and the next one of its consumer goes on there.',
  *find(facts) {
    const before = new Map<string, Line<'read'>>();
    for (const read of facts.of('read')) {
      facts.bound.step();
      yield* within(read);
      const consumer = `${read.process} ${logOf(read)}`;
      yield* between(before.get(consumer), read);
      if (read.outcome === 'ok') before.set(consumer, read);
    }
  },
};

function* within(read: Line<'read'>): Generator<Finding> {
  let due = read.from;
  for (const { offset, values } of read.batches) {
    if (offset !== due) yield step(read, offset, due);
    due = offset + values.length;
  }
  const { nextOffset = due, outcome } = read;
  if (outcome === 'ok' && nextOffset !== due) yield step(read, nextOffset, due);
}

/** A consumer has one read under way at a time in each queue. */
function* between(last: Line<'read'> | undefined, read: Line<'read'>): Generator<Finding> {
  if (last === undefined || read.seek === true) return;
  const due = endOf(last);
  if (read.from === due) return;
  yield { text: step(read, read.from, due).text, lines: [last.line, read.line] };
}

function endOf({ from, batches, nextOffset }: Line<'read'>): number {
  const last = batches.at(-1);
  return nextOffset ?? (last === undefined ? from : last.offset + last.values.length);
}

function step(read: Line<'read'>, came: number, due: number): Finding {
  const how = came > due ? 'skips' : 'goes back';
  const who = `${read.process}, ${logOf(read)} through node ${read.node}`;
  return { text: `${who} ${how}: ${came} came where ${due} was due`, lines: [read.line] };
}
