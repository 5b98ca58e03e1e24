/** P11: a linearizable fetch, or a list of offsets, knows of all that was known before it began. */
import { ackOf, type Facts, type Line, type Look, listOf, logOf, partAckOf } from './facts.ts';
import type { Finding, Property } from './property.ts';

/** From `atMs` on the queue is known to reach to `end`. */
interface Proof {
  readonly atMs: number;
  readonly end: number;
  readonly line: number;
}

export const linearizableFetch: Property = {
  id: 'P11',
  name: 'linearizable-fetch',
  says:
    'A linearizable fetch, or a list of offsets, knows an end behind all that was acknowledged ' +
    'or read before it; asked by time, it finds the first message that is not older.',
  *find(facts) {
    const proofs = new Map<string, Proof[]>();
    const asked = new Map<string, Look[]>();
    for (const { log, proof } of acknowledgements(facts)) listOf(proofs, log).push(proof);
    for (const look of facts.looks) {
      facts.bound.step();
      const { log, completedMs: atMs, endOffset: end, line } = look;
      listOf(proofs, log).push({ atMs, end, line });
      if (look.linearizable) listOf(asked, log).push(look);
    }
    for (const [log, looks] of asked) yield* stale(facts, log, looks, proofs.get(log) ?? []);
    for (const listed of facts.of('listed')) yield* astray(facts, listed);
  },
};

function* acknowledgements(facts: Facts): Generator<{ log: string; proof: Proof }> {
  for (const send of facts.sends) {
    facts.bound.step();
    const ack = ackOf(send);
    if (ack?.baseOffset === undefined) continue;
    const end = ack.baseOffset + send.values.length;
    yield { log: send.log, proof: { atMs: ack.completedMs, end, line: ack.line } };
  }
  for (const part of facts.parts) {
    facts.bound.step();
    const ack = partAckOf(part);
    if (ack === undefined) continue;
    const { completedMs: atMs, line } = ack.end;
    yield { log: part.log, proof: { atMs, end: ack.baseOffset + part.values.length, line } };
  }
}

function* stale(facts: Facts, log: string, looks: Look[], proofs: Proof[]): Generator<Finding> {
  proofs.sort((a, b) => a.atMs - b.atMs);
  let highest: Proof | undefined;
  let at = 0;
  for (const look of looks.sort((a, b) => a.invokedMs - b.invokedMs)) {
    facts.bound.step();
    for (; at < proofs.length && proofs[at]!.atMs < look.invokedMs; at++) {
      if (highest === undefined || proofs[at]!.end > highest.end) highest = proofs[at];
    }
    if (highest === undefined || look.endOffset >= highest.end) continue;
    const text = `${log}: it was known to reach to ${highest.end}, then node ${look.node} says`;
    yield { text: `${text} ${look.endOffset}`, lines: [highest.line, look.line] };
  }
}

/** By what the nodes themselves say of when they stored which message. */
function* astray(facts: Facts, listed: Line<'listed'>): Generator<Finding> {
  facts.bound.step();
  const { soughtMs, foundOffset, beforeMs, foundMs, node, line } = listed;
  if (soughtMs === undefined || foundOffset === undefined) return;
  const isTooFar = beforeMs !== undefined && beforeMs >= soughtMs;
  const isTooNear = foundMs !== undefined && foundMs < soughtMs;
  if (!isTooFar && !isTooNear) return;
  const place = isTooFar ? `${foundOffset - 1} is` : `${foundOffset} is not`;
  const what = `${logOf(listed)} by time through node ${node}: ${foundOffset} was found`;
  yield { text: `${what}, yet what stands at ${place} that new`, lines: [line] };
}
