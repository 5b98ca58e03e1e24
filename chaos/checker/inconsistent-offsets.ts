/** P6: an offset holds one value for ever, also across changes of leaders. */
import type { Property } from './property.ts';

export const inconsistentOffsets: Property = {
  id: 'P6',
  name: 'inconsistent-offsets',
  says: 'An offset never holds two values, in no acknowledgement and in no read.',
  *find(facts) {
    for (const held of facts.places.held()) {
      facts.bound.step();
      if (held.length < 2) continue;
      const { log, offset } = held[0]!;
      const values = held.map(({ value }) => value).join(' and ');
      yield { text: `${log}, offset ${offset}: ${values}`, lines: held.map(({ line }) => line) };
    }
  },
};
