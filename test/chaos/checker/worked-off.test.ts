import { workedOff } from '../../../chaos/checker/worked-off.ts';
import { acked, drained, finalRead, LEASE_MS, plain, settle, take } from '../histories.ts';
import { labelled } from './labelled.ts';

const first = take(0, 1, 1000);
const later = 1000 + LEASE_MS;
const work = [
  plain(['w.0', 'w.1'], 0, { topic: 'w' }),
  ...finalRead(['w.0', 'w.1'], { topic: 'w' }),
];
const noAnswer = settle('ack', 1050, [{ queue: 0, offset: 0, fence: 1000 }], {
  outcome: 'unknown',
});
/** Given 16 times, one after the other; the last one begins at 1000 + 15 leases. */
const times = Array.from({ length: 16 }, (_, i) => take(0, i + 1, 1000 + i * LEASE_MS));
const last = 1000 + 15 * LEASE_MS;
const nacked = settle('nack', last + 10, [{ queue: 0, offset: 0, fence: last, status: 'SETTLED' }]);
const dead = (attempts: number, cause: string) =>
  drained(1, { dead: [{ offset: 0, attempts, cause }] });

labelled(workedOff, {
  good: [
    ['acknowledged', [first, acked(0, 1000, 1050), drained(1)]],
    [
      'acknowledged by the next holder',
      [first, take(0, 2, later), acked(0, 1000, later + 9, 'STALE_TOKEN'), acked(0, later, 1150)],
    ],
    ['an Ack without an answer counted', [first, noAnswer, drained(1)]],
    [
      'it did not count',
      [first, noAnswer, take(0, 2, later), acked(0, later, later + 10), drained(1)],
    ],
    ['what it was is asked again', [first, noAnswer, acked(0, 1000, 1060, 'DECIDED')]],
    [
      'all of a queue',
      [...work, first, acked(0, 1000, 1050), take(1, 1, 1001), acked(1, 1001, 1050), drained(2)],
    ],
    ['a dead letter that was given back', [...times, nacked, dead(16, 'NACKED')]],
    ['a dead letter whose last lease ran out', [...times, dead(16, 'EXPIRED')]],
    ['still pending, nobody waited for the end', [first]],
  ],
  bad: [
    ['given after its Ack', [first, acked(0, 1000, 1050), take(0, 2, later)], [2, 3]],
    [
      'given after its Ack, which was answered later',
      [first, take(0, 2, later), acked(0, 1000, 1050)],
      [3, 2],
    ],
    [
      'given after it was decided',
      [first, noAnswer, acked(0, 1000, 1060, 'DECIDED'), take(0, 2, later)],
      [3, 4],
    ],
    ['decided by nobody', [first, acked(0, 1000, 1050, 'DECIDED')], [2]],
    ['dead, and not listed', [first, acked(0, 1000, 1050, 'DEAD'), drained(0)], [2]],
    ['never given', [...work, take(1, 1, 1000), acked(1, 1000, 1050), drained(2)], [6]],
    ['given, then forgotten', [first, drained(1)], [1, 2]],
    ['passed over', [...work, drained(0)], [3, 4]],
    ['another message is given in its place', [...work, take(0, 1, 1000), swapped()], [5, 3]],
    ['dead too soon', [...times.slice(0, 3), dead(3, 'EXPIRED')], [3, 4]],
    ['dead, and nobody gave it back', [...times, dead(16, 'NACKED')], [16, 17]],
  ],
});

function swapped() {
  const line = take(1, 1, 1002);
  return { ...line, deliveries: line.deliveries.map((one) => ({ ...one, value: 'w.0' })) };
}
