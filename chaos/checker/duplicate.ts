/** P7: stored once, unless the program itself sent it again without a sequence. */
import { type Facts, isTransaction } from './facts.ts';
import type { Property } from './property.ts';

export const duplicate: Property = {
  id: 'P7',
  name: 'duplicate',
  says: 'A message is at one place only; a plain one at no more than its client sent it.',
  *find(facts) {
    for (const [value, places] of facts.places.values()) {
      facts.bound.step();
      const allowed = copiesAllowed(facts, value);
      if (places.length <= allowed) continue;
      const where = places.map(({ log, offset }) => `${log}, offset ${offset}`).join('; ');
      const may = allowed > 1 ? `, sent ${allowed} times` : '';
      yield { text: `${value} is at ${where}${may}`, lines: places.map(({ line }) => line) };
    }
  },
};

function copiesAllowed(facts: Facts, value: string): number {
  const sender = facts.senders.get(value);
  if (sender === undefined || isTransaction(sender)) return 1;
  if (sender.attempts.some(({ producer }) => producer !== undefined)) return 1;
  return Math.max(1, sender.attempts.filter(({ outcome }) => outcome !== 'fail').length);
}
