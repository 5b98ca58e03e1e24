/** P9: the messages of one producer stand in its queue in the order of their sequences. */
import { type Facts, listOf } from './facts.ts';
import type { Place } from './places.ts';
import type { Finding, Property } from './property.ts';

interface Entry {
  readonly place: Place;
  readonly epoch: number;
  readonly sequence: number;
}

export const sendOrder: Property = {
  id: 'P9',
  name: 'send-order',
  says: 'In a queue the messages of one producer stand in the order of its epochs and sequences.',
  *find(facts) {
    const producers = new Map<string, Entry[]>();
    for (const { log, values, attempts } of facts.sends) {
      const { producer, epoch = 0, sequence } = attempts[0]!;
      if (producer === undefined || sequence === undefined) continue;
      const entries = listOf(producers, `${producer} in ${log}`);
      for (const [i, value] of values.entries()) {
        facts.bound.step();
        const place = facts.places.first(log, value);
        if (place !== undefined) entries.push({ place, epoch, sequence: sequence + i });
      }
    }
    for (const [name, entries] of producers) yield* falls(facts, name, entries);
  },
};

function* falls(facts: Facts, name: string, entries: Entry[]): Generator<Finding> {
  entries.sort((a, b) => a.place.offset - b.place.offset);
  for (const [i, entry] of entries.entries()) {
    facts.bound.step();
    const before = entries[i - 1];
    if (before === undefined || isBefore(before, entry)) continue;
    const [a, b] = [before, entry].map(
      ({ epoch, sequence, place }) => `${sequence} of epoch ${epoch} at offset ${place.offset}`,
    );
    yield { text: `${name}: ${a}, then ${b}`, lines: [before.place.line, entry.place.line] };
  }
}

/** Two values at one offset are P6's find. */
function isBefore(a: Entry, b: Entry): boolean {
  if (a.place.offset === b.place.offset || a.epoch < b.epoch) return true;
  return a.epoch === b.epoch && a.sequence < b.sequence;
}
