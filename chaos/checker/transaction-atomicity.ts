/**
 * P15: of one transaction all messages show, or none, in all its queues, and the offsets of a group
 * go with them. Between its queues there is no order: one may show its part before another does.
 */
import { type Facts, isPart, type Part, type Transaction } from './facts.ts';
import { movedOffsets } from './moved-offsets.ts';
import type { Finding, Property } from './property.ts';

export const transactionAtomicity: Property = {
  id: 'P15',
  name: 'transaction-atomicity',
  says:
    'The messages of a transaction show in each of its queues, side by side, in order, all or ' +
    'none; what committed ones consumed of a queue covers it once, to where their group stands.',
  *find(facts) {
    const read = new Set(facts.finals.map(({ log }) => log));
    for (const transaction of facts.transactions.values()) {
      facts.bound.step();
      yield* inPart(facts, transaction, read);
      for (const part of transaction.parts) yield* apart(facts, part);
    }
    yield* cutShort(facts);
    yield* movedOffsets(facts);
  },
};

/** Only queues that were read to their ends can miss something. */
function* inPart(
  facts: Facts,
  { id, parts, prepares }: Transaction,
  read: ReadonlySet<string>,
): Generator<Finding> {
  const due = parts.filter(({ log }) => read.has(log)).flatMap(({ values }) => values);
  const shown = parts
    .flatMap(({ values }) => values)
    .filter((value) => facts.places.isShown(value));
  const missing = due.filter((value) => !facts.places.isShown(value));
  if (shown.length === 0 || missing.length === 0) return;
  const text = `transaction ${id}: ${shown.join(', ')} shows, ${missing.join(', ')} does not`;
  yield { text, lines: [prepares[0]!.line, facts.places.shown(shown[0]!)!.line] };
}

function* apart(facts: Facts, { log, values, transaction }: Part): Generator<Finding> {
  const places = values.map((value) => facts.places.first(log, value));
  const base = places.flatMap((place, i) => (place === undefined ? [] : [place.offset - i]))[0];
  const other = places.find((place, i) => place !== undefined && place.offset - i !== base);
  if (other === undefined) return;
  const what = `transaction ${transaction.id} is torn apart`;
  const text = `${log}: ${what}: ${other.value} at ${other.offset}`;
  yield { text, lines: places.flatMap((place) => (place === undefined ? [] : [place.line])) };
}

/** Its last message in a queue is there as soon as its first one is. */
function* cutShort(facts: Facts): Generator<Finding> {
  for (const { place, read } of facts.seen()) {
    const sender = facts.senders.get(place.value);
    if (sender === undefined || !isPart(sender) || read.outcome !== 'ok') continue;
    if (sender.log !== place.log) continue;
    const { values, transaction } = sender;
    const end = place.offset - values.indexOf(place.value) + values.length;
    if (read.endOffset >= end) continue;
    const text = `${place.log}: shows ${place.value} of transaction ${transaction.id}, which`;
    yield {
      text: `${text} reaches to ${end}, with the end at ${read.endOffset}`,
      lines: [read.line],
    };
  }
}
