/**
 * Consume, process, produce: what transactions that committed say they consumed of a queue has to
 * cover it once, from the first message to where their group stands.
 */
import { type Facts, isCommitted, type Line, listOf, logOf, type Transaction } from './facts.ts';
import type { Finding } from './property.ts';

/** Messages that one committed transaction consumed. */
interface Consumed {
  readonly from: number;
  readonly to: number;
  readonly transaction: Transaction;
}

export function* movedOffsets(facts: Facts): Generator<Finding> {
  const free = committedAlone(facts);
  const consumed = new Map<string, Consumed[]>();
  for (const transaction of facts.transactions.values()) {
    facts.bound.step();
    if (transaction.moves.length === 0 || !isCommitted(facts, transaction)) continue;
    for (const move of transaction.moves) {
      const list = listOf(consumed, `${move.group}, ${logOf(move)}`);
      list.push({ from: move.from ?? 0, to: move.offset, transaction });
    }
  }
  const isRead = isAllRead(facts);
  for (const [name, list] of consumed) {
    if (free.has(name)) continue;
    yield* covered(facts, name, list, isRead);
    yield* stands(facts, name, list, isRead);
  }
}

/** Whoever moves a group without a transaction may leave out what he likes. */
function committedAlone(facts: Facts): Set<string> {
  const moved = [...facts.of('commit'), ...facts.of('reset')];
  return new Set(moved.map((line) => `${line.group}, ${logOf(line)}`));
}

/** Every part of every transaction would show if it were there. */
function isAllRead(facts: Facts): boolean {
  const read = new Set(facts.finals.map(({ log }) => log));
  return facts.parts.every(({ log }) => read.has(log));
}

function* covered(
  facts: Facts,
  name: string,
  list: readonly Consumed[],
  isRead: boolean,
): Generator<Finding> {
  let due = 0;
  let before: Transaction | undefined;
  for (const { from, to, transaction } of [...list].sort((a, b) => a.from - b.from)) {
    facts.bound.step();
    const lines = [...(before === undefined ? [] : [lineOf(before)]), lineOf(transaction)];
    if (from < due) {
      const both = `${before!.id} and ${transaction.id}`;
      yield { text: `${name}: offset ${from} was consumed twice, by ${both}`, lines };
    } else if (from > due && isRead) {
      const text = `${name}: nothing was made of ${due} to ${from - 1}, before ${transaction.id}`;
      yield { text, lines };
    }
    if (to <= due) continue;
    due = to;
    before = transaction;
  }
}

/** The last word on where the group stands, when it was asked for after all that moved it. */
function* stands(
  facts: Facts,
  name: string,
  list: readonly Consumed[],
  isRead: boolean,
): Generator<Finding> {
  const look = lastLook(facts, name);
  const ends = list.flatMap(({ transaction }) => transaction.ends);
  if (look === undefined || ends.some(({ completedMs }) => completedMs >= look.invokedMs)) return;
  const furthest = list.reduce((most, one) => (one.to > most.to ? one : most));
  const { offset = 0 } = look;
  const isBeyond = offset > furthest.to && isRead;
  if (offset >= furthest.to && !isBeyond) return;
  const text = `${name}: stands at ${offset}, the last transaction moved it to ${furthest.to}`;
  yield { text, lines: [lineOf(furthest.transaction), look.line] };
}

function lastLook(facts: Facts, name: string): Line<'committed'> | undefined {
  let last: Line<'committed'> | undefined;
  for (const look of facts.of('committed')) {
    facts.bound.step();
    if (look.outcome !== 'ok' || `${look.group}, ${logOf(look)}` !== name) continue;
    if (last === undefined || look.invokedMs > last.invokedMs) last = look;
  }
  return last;
}

function lineOf({ prepares }: Transaction): number {
  return (prepares.find(({ outcome }) => outcome === 'ok') ?? prepares[0]!).line;
}
