/** P4: nothing is read that was not sent there, byte for byte. */
import { type Facts, isPart, type Part, type Send, type Transaction } from './facts.ts';
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

/** A check may come without the messages of a part, never with others. */
function* checks(facts: Facts): Generator<Finding> {
  for (const { transaction, values, line } of facts.of('check')) {
    facts.bound.step();
    const prepared = facts.transactions.get(transaction);
    if (prepared !== undefined && isMadeOf(prepared, values)) continue;
    const sent = prepared === undefined ? [] : [prepared.prepares[0]!.line];
    const what = values.length === 0 ? 'nothing' : values.join(', ');
    const text = `transaction ${transaction}: asked about ${what}, which was never prepared so`;
    yield { text, lines: [...sent, line] };
  }
}

function isMadeOf({ parts }: Transaction, values: readonly string[]): boolean {
  let at = 0;
  for (const part of parts) {
    const end = at + part.values.length;
    if (`${values.slice(at, end)}` === `${part.values}`) at = end;
  }
  return at === values.length;
}

function firstLine(sender: Send | Part): number {
  return (isPart(sender) ? sender.transaction.prepares : sender.attempts)[0]!.line;
}
