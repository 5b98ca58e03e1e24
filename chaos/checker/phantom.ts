/** P4: nothing is read that was not sent there, byte for byte. */
import type { Facts } from './facts.ts';
import type { Finding, Property } from './property.ts';

export const phantom: Property = {
  id: 'P4',
  name: 'phantom',
  says: 'Nothing is read that was not sent, byte for byte, to that queue.',
  *find(facts) {
    const told = new Set<string>();
    for (const { place } of facts.seen()) {
      const { log, offset, value, line } = place;
      const sender = facts.senders.get(value);
      if (sender?.log === log) continue;
      const text = `${log}, offset ${offset}: ${value} was never sent there`;
      if (told.has(text)) continue;
      told.add(text);
      const sent = sender === undefined ? [] : [firstLine(sender)];
      yield { text, lines: [...sent, line] };
    }
    yield* checks(facts);
  },
};

/** A check may come without its messages, never with others. */
function* checks(facts: Facts): Generator<Finding> {
  for (const { transaction, values, line } of facts.of('check')) {
    facts.bound.step();
    const prepared = facts.transactions.get(transaction);
    if (prepared !== undefined && (values.length === 0 || `${values}` === `${prepared.values}`)) {
      continue;
    }
    const sent = prepared === undefined ? [] : [prepared.prepares[0]!.line];
    const what = values.length === 0 ? 'nothing' : values.join(', ');
    const text = `transaction ${transaction}: asked about ${what}, which was never prepared so`;
    yield { text, lines: [...sent, line] };
  }
}

function firstLine(
  sender: { attempts: readonly { line: number }[] } | { prepares: readonly { line: number }[] },
): number {
  return ('attempts' in sender ? sender.attempts : sender.prepares)[0]!.line;
}
