/** P12: a queue has no holes. The public API declares no records of another kind between. */
import { type Facts, type FinalRead, type Line, logOf } from './facts.ts';
import type { Finding, Property } from './property.ts';

export const denseOffsets: Property = {
  id: 'P12',
  name: 'dense-offsets',
  says: 'Between its start and its end a queue holds a message at every offset, and none beyond.',
  *find(facts) {
    for (const final of facts.finals) yield* holes(facts, final);
    for (const read of facts.of('read')) {
      facts.bound.step();
      yield* beyondEnd(read);
    }
  },
};

/** The first one of each read. */
function* holes(facts: Facts, final: FinalRead): Generator<Finding> {
  const { log, node, startOffset, endOffset, shown, line } = final;
  let due = startOffset;
  for (const offset of [...shown.keys()].sort((a, b) => a - b)) {
    facts.bound.step();
    if (offset > due) break;
    if (offset === due) due += 1;
  }
  if (due >= endOffset) return;
  const behind = shown.get(due - 1);
  const lines = behind === undefined ? [line] : [behind.line, line];
  yield { text: `${log} through node ${node}: nothing at ${due}, its end is ${endOffset}`, lines };
}

function* beyondEnd(read: Line<'read'>): Generator<Finding> {
  const last = read.batches.at(-1);
  if (last === undefined || read.outcome !== 'ok') return;
  const end = last.offset + last.values.length;
  if (end <= read.endOffset) return;
  const where = `${logOf(read)} through node ${read.node}`;
  const text = `${where}: shows offset ${end - 1}, its end is ${read.endOffset}`;
  yield { text, lines: [read.line] };
}
