/** P5 (G1a): what was refused for certain, or rolled back, never shows. */
import { effectFromMs, type Facts, isPart, type Send, type Transaction } from './facts.ts';
import type { Finding, Property } from './property.ts';

export const abortedRead: Property = {
  id: 'P5',
  name: 'aborted-read',
  says: 'A write that was refused for certain, and a transaction that rolled back, is never read.',
  *find(facts) {
    for (const [value, places] of facts.places.values()) {
      facts.bound.step();
      const sender = facts.senders.get(value);
      const shown = facts.places.shown(value);
      if (sender === undefined || shown === undefined) continue;
      const why = isPart(sender) ? rolledBack(sender.transaction) : refused(sender);
      if (why === undefined) continue;
      const at = `${places[0]!.log}, offset ${shown.offset}`;
      yield {
        text: `${at}: ${value} ${why.text}, yet it is read`,
        lines: [...why.lines, shown.line],
      };
    }
    yield* answeredAsStored(facts);
  },
};

function refused({ attempts }: Send): Finding | undefined {
  if (effectFromMs(attempts) !== undefined) return undefined;
  const why = attempts.map(({ reason }) => reason).join(', ');
  return { text: `was only ever refused (${why})`, lines: attempts.map(({ line }) => line) };
}

function rolledBack({ ends }: Transaction): Finding | undefined {
  const end = ends.find(
    ({ decision, outcome, state }) =>
      state === 'ROLLED_BACK' || (decision === 'rollback' && outcome === 'ok'),
  );
  return end && { text: 'was rolled back', lines: [end.line] };
}

/** The answer of a repetition betrays it too. */
function* answeredAsStored(facts: Facts): Generator<Finding> {
  for (const { log, values, attempts } of facts.sends) {
    facts.bound.step();
    const answer = attempts.find(({ duplicate }) => duplicate === true);
    if (answer === undefined) continue;
    const others = attempts.filter((attempt) => attempt !== answer);
    // An attempt that ended later may have been the first to arrive.
    if (others.some(({ outcome }) => outcome !== 'fail')) continue;
    yield {
      text: `${log}: ${values[0]} was refused for certain, its repetition was stored already`,
      lines: [...others.map(({ line }) => line), answer.line],
    };
  }
}
