/** P7: stored once, unless the program itself sent it again without a sequence. */
import { ackOf, type Facts, isPart } from './facts.ts';
import type { Finding, Property } from './property.ts';

export const duplicate: Property = {
  id: 'P7',
  name: 'duplicate',
  says:
    'A message is at one place only, a plain one at no more than its client sent it; a request ' +
    'that is repeated after its ack is answered as repeated.',
  *find(facts) {
    for (const [value, places] of facts.places.values()) {
      facts.bound.step();
      const allowed = copiesAllowed(facts, value);
      if (places.length <= allowed) continue;
      const where = places.map(({ log, offset }) => `${log}, offset ${offset}`).join('; ');
      const may = allowed > 1 ? `, sent ${allowed} times` : '';
      yield { text: `${value} is at ${where}${may}`, lines: places.map(({ line }) => line) };
    }
    yield* answeredAsNew(facts);
  },
};

/** Whoever does not know that it stored a request has stored it again, or lost it. */
function* answeredAsNew(facts: Facts): Generator<Finding> {
  for (const { log, values, attempts } of facts.sends) {
    facts.bound.step();
    if (attempts.length < 2) continue;
    const ack = ackOf({ log, values, attempts });
    // An ack that names no place is below the level at which it lasts.
    if (ack?.baseOffset === undefined || ack.producer === undefined) continue;
    for (const { invokedMs, outcome, duplicate, line } of attempts) {
      if (invokedMs <= ack.completedMs || outcome !== 'ok' || duplicate === true) continue;
      const text = `${log}: ${values[0]} was acknowledged, then it was answered as new`;
      yield { text, lines: [ack.line, line] };
    }
  }
}

function copiesAllowed(facts: Facts, value: string): number {
  const sender = facts.senders.get(value);
  if (sender === undefined || isPart(sender)) return 1;
  if (sender.attempts.some(({ producer }) => producer !== undefined)) return 1;
  return Math.max(1, sender.attempts.filter(({ outcome }) => outcome !== 'fail').length);
}
