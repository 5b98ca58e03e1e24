/** P13: a committed offset is a register that only rises; a reset alone begins anew. */
import type { InQueue } from '../history.ts';
import { commitsOf, type Facts, type Line, logOf } from './facts.ts';
import type { Finding, Property } from './property.ts';
import { countBelow } from './sorted.ts';

/** From `atMs` on the register is at least at this epoch, and in it at this offset. */
interface Proof {
  readonly atMs: number;
  readonly epoch: number;
  readonly offset: number;
  readonly line: number;
}

/** A commit, or the end of a transaction that moves the offset. */
type Move = Pick<Line<'commit'>, 'outcome' | 'invokedMs' | 'completedMs' | 'offset' | 'line'>;

interface Register {
  readonly commits: Move[];
  readonly resets: Line<'reset'>[];
  readonly looks: Line<'committed'>[];
}

/** Shows as never committed. */
const NOTHING = -1;

export const committedOffset: Property = {
  id: 'P13',
  name: 'committed-offset',
  says: 'A committed offset never falls but by a reset, and never shows what nobody committed.',
  *find(facts) {
    for (const [name, register] of registersOf(facts)) {
      yield* falls(facts, name, register);
      yield* invented(facts, name, register);
    }
  },
};

function registersOf(facts: Facts): Map<string, Register> {
  const registers = new Map<string, Register>();
  const of = (line: InQueue & { readonly group: string }): Register => {
    facts.bound.step();
    const name = `${line.group}, ${logOf(line)}`;
    const known = registers.get(name) ?? { commits: [], resets: [], looks: [] };
    registers.set(name, known);
    return known;
  };
  for (const line of facts.of('commit')) of(line).commits.push(line);
  for (const transaction of facts.transactions.values()) {
    for (const move of transaction.moves) {
      const { commits } = of(move);
      for (const end of commitsOf(transaction)) commits.push({ ...end, offset: move.offset });
    }
  }
  for (const line of facts.of('reset')) of(line).resets.push(line);
  for (const line of facts.of('committed')) of(line).looks.push(line);
  return registers;
}

function* falls(facts: Facts, name: string, register: Register): Generator<Finding> {
  const proofs = proofsOf(register);
  let highest: Proof | undefined;
  let at = 0;
  const looks = register.looks
    .filter(({ outcome, reason }) => outcome === 'ok' || reason === 'GROUP_NOT_FOUND')
    .sort((a, b) => a.invokedMs - b.invokedMs);
  for (const look of looks) {
    facts.bound.step();
    // Only what was complete before this look began binds it.
    for (; at < proofs.length && proofs[at]!.atMs < look.invokedMs; at++) {
      if (highest === undefined || isBelow(highest, proofs[at]!)) highest = proofs[at];
    }
    const { epoch = 0, offset = NOTHING } = look;
    if (highest === undefined || !isBelow({ epoch, offset }, highest)) continue;
    const shown = offset === NOTHING ? 'nothing' : `${offset} in epoch ${epoch}`;
    const known = `${highest.offset} in epoch ${highest.epoch}`;
    const text = `${name}: known to be at ${known}, then node ${look.node} shows ${shown}`;
    yield { text, lines: [highest.line, look.line] };
  }
}

type Position = Pick<Proof, 'epoch' | 'offset'>;

function isBelow(a: Position, b: Position): boolean {
  return a.epoch < b.epoch || (a.epoch === b.epoch && a.offset < b.offset);
}

function proofsOf({ commits, resets, looks }: Register): Proof[] {
  const proofs: Proof[] = [];
  for (const { outcome, completedMs: atMs, epoch = 0, offset, line } of looks) {
    if (outcome === 'ok' && offset !== undefined) proofs.push({ atMs, epoch, offset, line });
  }
  // A later commit may have moved it on since a reset, nothing but a reset may move it back.
  for (const { outcome, completedMs: atMs, epoch, offset, line } of resets) {
    if (outcome === 'ok' && epoch !== undefined) proofs.push({ atMs, epoch, offset, line });
  }
  const epochOf = epochs({ resets, looks });
  for (const { outcome, invokedMs, completedMs: atMs, offset, line } of commits) {
    if (outcome === 'ok') proofs.push({ atMs, epoch: epochOf(invokedMs), offset, line });
  }
  return proofs.sort((a, b) => a.atMs - b.atMs);
}

/** The epoch at a time is at least this one; a reset that is under way may raise it any moment. */
function epochs({ resets, looks }: Omit<Register, 'commits'>): (atMs: number) => number {
  if (resets.every(({ outcome }) => outcome === 'fail')) {
    // Nobody raised it: it is the one that a group begins with.
    const seen = looks.filter(({ offset }) => offset !== undefined);
    const only = seen.reduce((least, { epoch = 0 }) => Math.min(least, epoch), Infinity);
    return () => (Number.isFinite(only) ? only : 0);
  }
  const done = resets
    .filter(({ outcome }) => outcome === 'ok')
    .sort((a, b) => a.completedMs - b.completedMs);
  const ended = done.map(({ completedMs }) => completedMs);
  const highest: number[] = [0];
  for (const { epoch = 0 } of done) highest.push(Math.max(epoch, highest.at(-1)!));
  return (atMs) => highest[countBelow(ended, atMs)]!;
}

function* invented(facts: Facts, name: string, register: Register): Generator<Finding> {
  const attempts = [...register.commits, ...register.resets];
  const asked = new Set(attempts.map(({ offset, outcome }) => outcome !== 'fail' && offset));
  for (const { offset, node, line } of register.looks) {
    facts.bound.step();
    if (offset === undefined || asked.has(offset)) continue;
    yield { text: `${name}: node ${node} shows ${offset}, which nobody committed`, lines: [line] };
  }
}
