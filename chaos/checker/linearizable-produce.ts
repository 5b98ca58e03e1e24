/** P10: what was acknowledged before another write began stands before it. */
import { ackOf, commitsOf, effectFromMs, type Facts, listOf, partAckOf } from './facts.ts';
import type { Finding, Property } from './property.ts';

interface Acked {
  readonly completedMs: number;
  readonly offset: number;
  readonly value: string;
  readonly line: number;
}
interface Begun {
  readonly fromMs: number;
  readonly offset: number;
  readonly value: string;
  readonly line: number;
}

export const linearizableProduce: Property = {
  id: 'P10',
  name: 'linearizable-produce',
  says: 'A write that began after another one was acknowledged has a higher offset.',
  *find(facts) {
    const acked = new Map<string, Acked[]>();
    const begun = new Map<string, Begun[]>();
    for (const write of writes(facts)) {
      facts.bound.step();
      const { log, value, ack, fromMs, count } = write;
      if (ack?.baseOffset !== undefined) {
        const { completedMs, line } = ack;
        // Its last message has to stand before what comes later.
        const offset = ack.baseOffset + count - 1;
        listOf(acked, log).push({ completedMs, offset, value, line });
      }
      const place = facts.places.first(log, value);
      if (place === undefined || fromMs === undefined) continue;
      listOf(begun, log).push({ fromMs, offset: place.offset, value, line: place.line });
    }
    for (const [log, all] of begun) yield* undercut(facts, log, acked.get(log) ?? [], all);
  },
};

function* writes(facts: Facts) {
  for (const send of facts.sends) {
    const fromMs = effectFromMs(send.attempts);
    const [value, count] = [send.values[0]!, send.values.length];
    yield { log: send.log, value, count, ack: ackOf(send), fromMs };
  }
  for (const part of facts.parts) {
    const { log, values, transaction } = part;
    const found = partAckOf(part);
    const ack = found && { ...found.end, baseOffset: found.baseOffset };
    const fromMs = effectFromMs(commitsOf(transaction));
    yield { log, value: values[0]!, count: values.length, ack, fromMs };
  }
}

function* undercut(facts: Facts, log: string, acked: Acked[], begun: Begun[]): Generator<Finding> {
  acked.sort((a, b) => a.completedMs - b.completedMs);
  let highest: Acked | undefined;
  let at = 0;
  for (const write of begun.sort((a, b) => a.fromMs - b.fromMs)) {
    facts.bound.step();
    for (; at < acked.length && acked[at]!.completedMs < write.fromMs; at++) {
      if (highest === undefined || acked[at]!.offset > highest.offset) highest = acked[at];
    }
    if (highest === undefined || write.offset > highest.offset) continue;
    const before = `${highest.value} was acknowledged at offset ${highest.offset}`;
    const text = `${log}: ${before} before ${write.value} began, which is at ${write.offset}`;
    yield { text, lines: [highest.line, write.line] };
  }
}
