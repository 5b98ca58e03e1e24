/** P2: after the run everything that is known to be stored is there. */
import { ackOf } from './facts.ts';
import type { Property } from './property.ts';

export const unseen: Property = {
  id: 'P2',
  name: 'unseen',
  says: 'A write that is known to be stored is shown by the reads from the start after the run.',
  *find(facts) {
    const ends = new Map(facts.finals.map((final) => [final.log, final]));
    const shown = new Set<string>();
    for (const { place, read } of facts.seen()) {
      if (read.last) shown.add(`${place.log} ${place.value}`);
    }
    const recalled = new Set(
      facts.of('recall').flatMap(({ outcome, values }) => (outcome === 'fail' ? [] : values)),
    );
    for (const send of facts.sends) {
      facts.bound.step();
      const final = ends.get(send.log);
      // What may have been taken back may be missing.
      const isOwed = !recalled.has(send.values[0]!) && facts.happened(send);
      if (final === undefined || !isOwed) continue;
      const missing = send.values.filter((value) => !shown.has(`${send.log} ${value}`));
      if (missing.length === 0 || isExpired(ackOf(send)?.baseOffset, final.startOffset)) continue;
      yield {
        text: `${send.log}: ${missing.join(', ')} is not shown by any read after the run`,
        lines: [...facts.proof(send), final.line],
      };
    }
  },
};

/** Retention took it: whether it was allowed to is P20's question. */
function isExpired(offset: number | undefined, startOffset: number): boolean {
  return offset !== undefined && offset < startOffset;
}
