/** P11: a linearizable fetch knows of everything that was known before it began. */
import { ackOf, commitAckOf, type Facts, type Line, listOf, logOf } from './facts.ts';
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
  says: 'A linearizable fetch knows an end behind all that was acknowledged or read before it.',
  *find(facts) {
    const proofs = new Map<string, Proof[]>();
    const fetches = new Map<string, Line<'read'>[]>();
    for (const { log, proof } of acknowledgements(facts)) listOf(proofs, log).push(proof);
    for (const read of facts.of('read')) {
      facts.bound.step();
      if (read.outcome !== 'ok') continue;
      const { completedMs: atMs, endOffset: end, line } = read;
      listOf(proofs, logOf(read)).push({ atMs, end, line });
      if (read.linearizable === true) listOf(fetches, logOf(read)).push(read);
    }
    for (const [log, reads] of fetches) yield* stale(facts, log, reads, proofs.get(log) ?? []);
  },
};

function* acknowledgements(facts: Facts): Generator<{ log: string; proof: Proof }> {
  for (const write of [...facts.sends, ...facts.transactions.values()]) {
    facts.bound.step();
    const ack = 'ends' in write ? commitAckOf(write) : ackOf(write);
    if (ack?.baseOffset === undefined) continue;
    const end = ack.baseOffset + write.values.length;
    yield { log: write.log, proof: { atMs: ack.completedMs, end, line: ack.line } };
  }
}

function* stale(
  facts: Facts,
  log: string,
  reads: Line<'read'>[],
  proofs: Proof[],
): Generator<Finding> {
  proofs.sort((a, b) => a.atMs - b.atMs);
  let highest: Proof | undefined;
  let at = 0;
  for (const read of reads.sort((a, b) => a.invokedMs - b.invokedMs)) {
    facts.bound.step();
    for (; at < proofs.length && proofs[at]!.atMs < read.invokedMs; at++) {
      if (highest === undefined || proofs[at]!.end > highest.end) highest = proofs[at];
    }
    if (highest === undefined || read.endOffset >= highest.end) continue;
    const text = `${log}: it was known to reach to ${highest.end}, then node ${read.node} says`;
    yield { text: `${text} ${read.endOffset}`, lines: [highest.line, read.line] };
  }
}
