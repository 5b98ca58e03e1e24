/** P1: what is stored has no holes in time: later writes are read, so are earlier ones. */
import { ackOf, type Facts, listOf, type Send } from './facts.ts';
import type { Finding, Property } from './property.ts';

export const lostWrite: Property = {
  id: 'P1',
  name: 'lost-write',
  says: 'A write that is known to be stored is read, once any read shows an offset beyond it.',
  *find(facts) {
    const writers = new Map<string, Send[]>();
    for (const send of facts.sends) {
      facts.bound.step();
      listOf(writers, writerOf(send)).push(send);
    }
    for (const sends of writers.values()) yield* lostOf(facts, sends);
  },
};

function writerOf({ log, attempts }: Send): string {
  return `${log} ${attempts[0]!.producer ?? attempts[0]!.process}`;
}

function* lostOf(facts: Facts, sends: readonly Send[]): Generator<Finding> {
  const kept = sends.flatMap((send, i) =>
    send.values.some((value) => facts.places.isShown(value)) ? [i] : [],
  );
  for (const [i, send] of sends.entries()) {
    facts.bound.step();
    const first = firstOffset(facts, send);
    const beyond = facts.places.highest(send.log);
    if (first === undefined || beyond === undefined) continue;
    const start = facts.startOf(send.log);
    const missing = send.values.filter((value, j) => {
      const isDue = first + j >= start && first + j <= beyond.offset;
      return isDue && !facts.places.isShown(value);
    });
    if (missing.length === 0) continue;
    const what = `${send.log}, offset ${first}: ${missing.join(', ')}`;
    yield {
      text: `${what} (${where(i, kept)}) is never read, offset ${beyond.offset} is`,
      lines: [...facts.proof(send), beyond.line],
    };
  }
}

function firstOffset(facts: Facts, send: Send): number | undefined {
  const acked = ackOf(send)?.baseOffset;
  if (acked !== undefined) return acked;
  const at = send.values.findIndex((value) => facts.places.isShown(value));
  return at < 0 ? undefined : facts.places.shown(send.values[at]!)!.offset - at;
}

/** Whether a writer lost what it wrote first, last, or something between. */
function where(i: number, kept: readonly number[]): string {
  if (kept.length === 0) return 'all of its writer';
  if (i < kept[0]!) return 'the beginning of its writer';
  return i > kept.at(-1)! ? 'the end of its writer' : 'the middle of its writer';
}
