/** P14: no two members hold a queue at a time, and no former generation commits. */
import { type Facts, type Line, listOf, logOf } from './facts.ts';
import type { Finding, Property } from './property.ts';

export const groupExclusivity: Property = {
  id: 'P14',
  name: 'group-exclusivity',
  says: 'A queue of a group has one member at a time, and nobody commits in a former generation.',
  *find(facts) {
    const queues = new Map<string, Line<'held'>[]>();
    for (const held of facts.of('held')) listOf(queues, `${held.group}, ${logOf(held)}`).push(held);
    for (const [name, held] of queues) yield* shared(facts, name, held);
    yield* late(facts);
  },
};

function* shared(facts: Facts, name: string, held: Line<'held'>[]): Generator<Finding> {
  const inOrder = [...held].sort((a, b) => a.invokedMs - b.invokedMs);
  let last: Line<'held'> | undefined;
  for (const one of inOrder) {
    facts.bound.step();
    if (last !== undefined && last.process !== one.process && one.invokedMs < last.completedMs) {
      const forMs = Math.ceil(Math.min(one.completedMs, last.completedMs) - one.invokedMs);
      const text = `${name}: ${last.process} and ${one.process} hold it for ${forMs} ms`;
      yield { text, lines: [last.line, one.line] };
    }
    if (last === undefined || one.completedMs >= last.completedMs) last = one;
  }
}

/** A commit that began after somebody was told of a later generation. */
function* late(facts: Facts): Generator<Finding> {
  const told = [...facts.of('held')].sort((a, b) => a.invokedMs - b.invokedMs);
  const commits = facts
    .of('commit')
    .filter(({ outcome, generation }) => outcome === 'ok' && generation !== undefined)
    .sort((a, b) => a.invokedMs - b.invokedMs);
  const newest = new Map<string, Line<'held'>>();
  let at = 0;
  for (const { group, generation, invokedMs, process, line } of commits) {
    facts.bound.step();
    for (; at < told.length && told[at]!.invokedMs < invokedMs; at++) {
      const held = told[at]!;
      if (held.since > (newest.get(held.group)?.since ?? 0)) newest.set(held.group, held);
    }
    const known = newest.get(group);
    if (known === undefined || known.since <= generation!) continue;
    const text = `${group}: ${process} commits in generation ${generation} after ${known.since}`;
    yield { text, lines: [known.line, line] };
  }
}
