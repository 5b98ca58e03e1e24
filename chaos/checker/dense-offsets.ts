/** Every read goes on exactly where it was asked to; in the end every node knows the same end. */
import { eventsOf, type History, type Read } from '../history.ts';
import type { Finding } from './finding.ts';

export function denseOffsets(history: History): Finding[] {
  return [...eventsOf(history, 'read').flatMap(holes), ...differentEnds(history)];
}

function holes({ queue, node, from, batches, endOffset, outcome }: Read): Finding[] {
  const where = `queue ${queue} through node ${node}`;
  const findings: Finding[] = [];
  let next = from;
  for (const { offset, values } of batches) {
    if (offset !== next) {
      findings.push({
        kind: 'gaps',
        text: `${where}: offset ${offset} came where ${next} was due`,
      });
    }
    next = offset + values.length;
  }
  if (outcome === 'ok' && next > endOffset) {
    findings.push({ kind: 'gaps', text: `${where}: shows ${next - 1}, its end is ${endOffset}` });
  }
  return findings;
}

function differentEnds(history: History): Finding[] {
  const ends = new Map<number, number>();
  return eventsOf(history, 'final').flatMap(({ node, queue, endOffset }) => {
    const known = ends.get(queue) ?? endOffset;
    ends.set(queue, known);
    if (known === endOffset) return [];
    const text = `queue ${queue} ends at ${known}, through node ${node} at ${endOffset}`;
    return [{ kind: 'gaps' as const, text }];
  });
}
