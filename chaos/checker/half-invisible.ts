/** P16: no read shows a half message before its commit was asked for, nor an offset moved by it. */
import {
  commitsOf,
  effectFromMs,
  type Facts,
  isPart,
  listOf,
  logOf,
  type Transaction,
} from './facts.ts';
import type { Finding, Property } from './property.ts';

export const halfInvisible: Property = {
  id: 'P16',
  name: 'half-invisible',
  says: 'Neither a half message nor an offset that moves with it shows before a commit was asked.',
  *find(facts) {
    const told = new Set<string>();
    for (const { place, read } of facts.seen()) {
      const sender = facts.senders.get(place.value);
      if (sender === undefined || !isPart(sender) || told.has(place.value)) continue;
      const { transaction } = sender;
      const fromMs = effectFromMs(commitsOf(transaction));
      if (fromMs !== undefined && read.completedMs >= fromMs) continue;
      told.add(place.value);
      const why = fromMs === undefined ? 'no commit was asked for' : 'before its commit';
      const where = `${place.log}, offset ${place.offset}, node ${read.node}`;
      yield {
        text: `${where}: half message ${place.value} was read, ${why}`,
        lines: linesOf(transaction, read.line),
      };
    }
    yield* givenEarly(facts);
    yield* movedEarly(facts);
  },
};

function linesOf(transaction: Transaction, line: number): number[] {
  const asked = commitsOf(transaction).slice(0, 1);
  return [transaction.prepares[0]!.line, ...asked.map((commit) => commit.line), line];
}

/** To a consumer of single messages. */
function* givenEarly(facts: Facts): Generator<Finding> {
  for (const receive of facts.of('receive')) {
    for (const { value } of receive.deliveries) {
      facts.bound.step();
      const sender = facts.senders.get(value);
      if (sender === undefined || !isPart(sender)) continue;
      const fromMs = effectFromMs(commitsOf(sender.transaction));
      if (fromMs !== undefined && receive.completedMs >= fromMs) continue;
      const text = `${receive.group}: half message ${value} was given before its commit`;
      yield { text, lines: linesOf(sender.transaction, receive.line) };
    }
  }
}

/** Several may have tried to move a group to the same place: one of them has to have committed. */
function* movedEarly(facts: Facts): Generator<Finding> {
  const movers = new Map<string, Transaction[]>();
  for (const transaction of facts.transactions.values()) {
    for (const move of transaction.moves) {
      listOf(movers, `${move.group}, ${logOf(move)}, ${move.offset}`).push(transaction);
    }
  }
  if (movers.size === 0) return;
  for (const look of facts.of('committed')) {
    facts.bound.step();
    const name = `${look.group}, ${logOf(look)}, ${look.offset}`;
    const tried = movers.get(name);
    const [first] = tried ?? [];
    if (tried === undefined || first === undefined) continue;
    const isAsked = tried.some((one) => {
      const fromMs = effectFromMs(commitsOf(one));
      return fromMs !== undefined && fromMs <= look.completedMs;
    });
    if (isAsked) continue;
    yield { text: `${name}: shows before a commit`, lines: linesOf(first, look.line) };
  }
}
