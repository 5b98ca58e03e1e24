/** P15: of one transaction all messages show, or none; its commit is one entry of one log. */
import type { Facts, Transaction } from './facts.ts';
import type { Finding, Property } from './property.ts';

export const transactionAtomicity: Property = {
  id: 'P15',
  name: 'transaction-atomicity',
  says: 'The messages of a transaction show side by side, in order, all or none.',
  *find(facts) {
    const read = new Set(facts.finals.map(({ log }) => log));
    for (const transaction of facts.transactions.values()) {
      facts.bound.step();
      if (read.has(transaction.log)) yield* inPart(facts, transaction);
      yield* apart(facts, transaction);
    }
    yield* cutShort(facts);
  },
};

function* inPart(facts: Facts, { id, log, values }: Transaction): Generator<Finding> {
  const shown = values.filter((value) => facts.places.isShown(value));
  if (shown.length === 0 || shown.length === values.length) return;
  const text = `${log}: of transaction ${id} only ${shown.join(', ')} of ${values.length} shows`;
  yield { text, lines: [facts.places.shown(shown[0]!)!.line] };
}

function* apart(facts: Facts, { id, log, values }: Transaction): Generator<Finding> {
  const places = values.map((value) => facts.places.first(log, value));
  const base = places.flatMap((place, i) => (place === undefined ? [] : [place.offset - i]))[0];
  const other = places.find((place, i) => place !== undefined && place.offset - i !== base);
  if (other === undefined) return;
  const text = `${log}: transaction ${id} is torn apart: ${other.value} at ${other.offset}`;
  yield { text, lines: places.flatMap((place) => (place === undefined ? [] : [place.line])) };
}

/** Its last message is there as soon as its first one is. */
function* cutShort(facts: Facts): Generator<Finding> {
  for (const { place, read } of facts.seen()) {
    const sender = facts.senders.get(place.value);
    if (sender === undefined || !('ends' in sender) || read.outcome !== 'ok') continue;
    const end = place.offset - sender.values.indexOf(place.value) + sender.values.length;
    if (read.endOffset >= end) continue;
    const text = `${place.log}: shows ${place.value} of transaction ${sender.id}, which reaches`;
    yield { text: `${text} to ${end}, with the end at ${read.endOffset}`, lines: [read.line] };
  }
}
