/** P3: in the end all nodes show the same. */
import type { Facts, FinalRead } from './facts.ts';
import { listOf } from './facts.ts';
import type { Finding, Property } from './property.ts';

export const divergence: Property = {
  id: 'P3',
  name: 'divergence',
  says: 'After the run every node shows the same messages at the same offsets, to the same end.',
  *find(facts) {
    const logs = new Map<string, FinalRead[]>();
    for (const final of facts.finals) listOf(logs, final.log).push(final);
    for (const [first, ...others] of logs.values()) {
      for (const other of others) yield* difference(facts, first!, other);
    }
  },
};

/** The first one: what follows it follows from it. */
function* difference(facts: Facts, a: FinalRead, b: FinalRead): Generator<Finding> {
  const who = `${a.log}, nodes ${a.node} and ${b.node}`;
  if (a.endOffset !== b.endOffset) {
    yield { text: `${who}: it ends at ${a.endOffset} and ${b.endOffset}`, lines: [a.line, b.line] };
    return;
  }
  const from = Math.max(a.startOffset, b.startOffset);
  for (const offset of new Set([...a.shown.keys(), ...b.shown.keys()])) {
    facts.bound.step();
    const [one, two] = [a.shown.get(offset), b.shown.get(offset)];
    if (one?.value === two?.value || offset < from) continue;
    const [left, right] = [one, two].map((place) => place?.value ?? 'nothing');
    yield {
      text: `${who}: offset ${offset} holds ${left} and ${right}`,
      lines: [one?.line ?? a.line, two?.line ?? b.line],
    };
    return;
  }
}
