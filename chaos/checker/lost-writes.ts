/** An acknowledged message is read back by every node, at the offset of its acknowledgement. */
import { eventsOf, type History } from '../history.ts';
import type { Finding } from './finding.ts';
import { ackedValues, seenValues } from './views.ts';

export function lostWrites(history: History): Finding[] {
  return [...missing(history), ...secondAnswers(history)];
}

function missing(history: History): Finding[] {
  const finals = new Map<string, Map<number, string>>();
  for (const { node, queue } of eventsOf(history, 'final')) {
    finals.set(`${node}/${queue}`, new Map());
  }
  for (const { node, queue, offset, value, last } of seenValues(history)) {
    if (last) finals.get(`${node}/${queue}`)?.set(offset, value);
  }
  const acked = new Map(ackedValues(history).map((ack) => [`${ack.value}@${ack.offset}`, ack]));
  const findings: Finding[] = [];
  for (const [place, values] of finals) {
    const [node, queue] = place.split('/').map(Number);
    for (const ack of acked.values()) {
      if (ack.queue !== queue) continue;
      const found = values.get(ack.offset);
      if (found === ack.value) continue;
      const where = `queue ${queue}, offset ${ack.offset}, read through node ${node}`;
      findings.push({
        kind: found === undefined ? 'lost' : 'changed',
        text: `${ack.value} was acknowledged, ${found ?? 'nothing'} is there: ${where}`,
      });
    }
  }
  return findings;
}

/** A repeated request gets the first answer. */
function secondAnswers(history: History): Finding[] {
  const first = new Map<string, number>();
  const findings: Finding[] = [];
  const answer = (write: string, offset: number | undefined) => {
    if (offset === undefined) return;
    const known = first.get(write);
    if (known === undefined) first.set(write, offset);
    else if (known !== offset) {
      findings.push({ kind: 'changed', text: `${write}: acknowledged at ${known} and ${offset}` });
    }
  };
  for (const { producer, queue, sequence, baseOffset } of eventsOf(history, 'produce')) {
    answer(`${producer}, queue ${queue}, sequence ${sequence}`, baseOffset);
  }
  for (const { transaction, baseOffset } of eventsOf(history, 'end')) {
    answer(`transaction ${transaction}`, baseOffset);
  }
  return findings;
}
