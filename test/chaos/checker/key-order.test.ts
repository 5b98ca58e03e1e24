import { keyOrder } from '../../../chaos/checker/key-order.ts';
import { acked, drained, end, finalRead, plain, prepare, settle, take } from '../histories.ts';
import { labelled } from './labelled.ts';

const fifo = { fifo: true };
const key = { topic: 'w', key: 'k' };
/** Offsets 0 and 2 have one key, 1 has another. */
const work = [
  plain(['w.0'], 0, key),
  plain(['w.1'], 1, { topic: 'w', key: 'other' }),
  plain(['w.2'], 2, key),
];
const noAnswer = settle('ack', 1050, [{ queue: 0, offset: 0, fence: 1000 }], {
  outcome: 'unknown',
});
const dead = drained(3, { dead: [{ offset: 0, attempts: 16, cause: 'EXPIRED' }] });
const half = prepare('t', ['t.0'], {
  others: [{ topic: 'w', queue: 0, values: ['w.1'], key: 'k' }],
});
const committed = end('t', 'commit', {
  baseOffset: 0,
  others: [{ topic: 'w', queue: 0, baseOffset: 1 }],
});

labelled(keyOrder, {
  good: [
    [
      'one after the other',
      [...work, take(0, 1, 1000, fifo), acked(0, 1000, 1050), take(2, 1, 1060, fifo)],
    ],
    ['another key goes by', [...work, take(0, 1, 1000, fifo), take(1, 1, 1001, fifo)]],
    [
      'an Ack without an answer',
      [...work, take(0, 1, 1000, fifo), noAnswer, take(2, 1, 1060, fifo)],
    ],
    ['nobody asked for order', [...work, take(2, 1, 1000)]],
  ],
  bad: [
    ['both at once', [...work, take(0, 1, 1000, fifo), take(2, 1, 1001, fifo), drained(0)], [4, 5]],
    ['the earlier one was never given', [...work, take(2, 1, 1001, fifo), drained(0)], [4]],
    [
      'the earlier one comes again',
      [...work, take(0, 1, 1000, fifo), noAnswer, take(2, 1, 1060, fifo), take(0, 2, 1200, fifo)],
      [7, 6],
    ],
    [
      'acknowledged only later',
      [...work, take(0, 1, 1000, fifo), take(2, 1, 1040, fifo), acked(0, 1000, 1050), drained(0)],
      [4, 5],
    ],
    [
      'a dead letter comes again',
      [...work, take(2, 1, 1060, fifo), take(0, 16, 1200, fifo), dead],
      [5, 4],
    ],
    [
      'what a transaction wrote comes too soon',
      [
        plain(['w.0'], 0, key),
        half,
        committed,
        ...finalRead(['w.0', 'w.1'], { topic: 'w' }),
        take(0, 1, 1000, fifo),
        take(1, 1, 1001, fifo),
        drained(0),
      ],
      [6, 7],
    ],
  ],
});
