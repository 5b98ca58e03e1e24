/** P19: what is delayed shows at its time or later, and what was taken back not at all. */
import type { Property } from './property.ts';

/**
 * How far the time of a shard may be ahead of the clock of the run: by 250 ms (docs/guarantees.md),
 * and both are read at another moment than that of the delivery.
 */
const CLOCK_TOLERANCE_MS = 300;

export const delayNeverEarly: Property = {
  id: 'P19',
  name: 'delay-never-early',
  says: 'A delayed message is read at its time or later, and never once it was taken back.',
  *find(facts) {
    const recalled = new Map(
      facts
        .of('recall')
        .filter(({ outcome }) => outcome === 'ok')
        .flatMap((recall) => recall.values.map((value) => [value, recall] as const)),
    );
    for (const { place, read } of facts.seen()) {
      const send = facts.senders.get(place.value);
      if (send === undefined || !('attempts' in send)) continue;
      const { deliverAtMs, line } = send.attempts[0]!;
      if (deliverAtMs === undefined) continue;
      const at = `${place.log}, offset ${place.offset}: ${place.value}`;
      const earlyMs = deliverAtMs - CLOCK_TOLERANCE_MS - read.completedMs;
      if (earlyMs > 0) {
        const text = `${at} is read ${Math.ceil(earlyMs + CLOCK_TOLERANCE_MS)} ms early`;
        yield { text, lines: [line, read.line] };
      }
      const recall = recalled.get(place.value);
      if (recall === undefined) continue;
      yield { text: `${at} was taken back, yet it is read`, lines: [line, recall.line, read.line] };
    }
  },
};
