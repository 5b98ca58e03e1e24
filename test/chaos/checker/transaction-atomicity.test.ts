import { transactionAtomicity } from '../../../chaos/checker/transaction-atomicity.ts';
import { committed, end, finalRead, moved, plain, prepare, read } from '../histories.ts';
import { labelled } from './labelled.ts';

const half = prepare('t', ['t.0', 't.1']);
const unknown = end('t', 'commit', { outcome: 'unknown' });

/** For queues 0 and 1, and queue 0 of another topic. */
const several = prepare('s', ['s.0'], {
  others: [
    { queue: 1, values: ['s.1'] },
    { topic: 'x', queue: 0, values: ['s.2', 's.3'] },
  ],
});
const severalCommitted = end('s', 'commit', {
  baseOffset: 0,
  others: [
    { queue: 1, baseOffset: 0 },
    { topic: 'x', queue: 0, baseOffset: 0 },
  ],
});
const unknownEnd = end('s', 'commit', { outcome: 'unknown' });
const here = finalRead(['s.0']);
const there = finalRead(['s.1'], { queue: 1 });
const elsewhere = finalRead(['s.2', 's.3'], { topic: 'x' });

const made = (id: string, from: number | undefined, to: number) =>
  prepare(id, [`${id}.0`], { moves: [moved(from, to)] });
const committedAt = (id: string, baseOffset: number) => end(id, 'commit', { baseOffset });
const stands = (offset: number | undefined) => committed(1500, offset, { queue: 9 });

labelled(transactionAtomicity, {
  good: [
    ['all', [half, end('t', 'commit', { baseOffset: 0 }), ...finalRead(['t.0', 't.1'])]],
    ['none', [half, unknown, ...finalRead([])]],
    ['a read may stop inside', [half, unknown, read(0, ['t.0'], { endOffset: 2 })]],
    ['a read may begin inside', [half, unknown, read(1, ['t.1'])]],
    ['all of several queues', [several, severalCommitted, ...here, ...there, ...elsewhere]],
    [
      'none of several queues',
      [several, unknownEnd, ...finalRead([]), ...finalRead([], { queue: 1 })],
    ],
    ['one queue before another', [several, unknownEnd, read(0, ['s.0'])]],
    ['one queue is not read to its end', [several, unknownEnd, ...here, ...there]],
    [
      'consumed once, one after the other',
      [
        made('a', undefined, 4),
        committedAt('a', 0),
        made('b', 4, 6),
        committedAt('b', 1),
        ...finalRead(['a.0', 'b.0']),
        stands(6),
      ],
    ],
    [
      'two lives made something of the same, one was rolled back',
      [
        made('a', undefined, 4),
        end('a', 'rollback'),
        made('b', undefined, 6),
        committedAt('b', 0),
        ...finalRead(['b.0']),
        stands(6),
      ],
    ],
    ['what came before was not read', [made('a', 3, 4), committedAt('a', 0)]],
  ],
  bad: [
    ['a part', [half, unknown, ...finalRead(['t.0'], { endOffset: 2 })], [1, 3]],
    ['torn apart', [half, unknown, plain(['b.0'], 1), ...finalRead(['t.0', 'b.0', 't.1'])], [4, 4]],
    ['in another order', [half, unknown, ...finalRead(['t.1', 't.0'])], [3, 3], [3]],
    ['the end comes in between', [half, unknown, read(0, ['t.0'])], [3]],
    [
      'one queue has nothing',
      [several, unknownEnd, ...here, ...finalRead([], { queue: 1 }), ...elsewhere],
      [1, 3],
    ],
    [
      'the queue of another topic has a part',
      [several, severalCommitted, ...here, ...finalRead(['s.2'], { topic: 'x', endOffset: 2 })],
      [1, 3],
    ],
    [
      'torn apart in its second queue',
      [several, read(0, ['s.2', 'b.0', 's.3'], { topic: 'x' })],
      [2, 2],
    ],
    [
      'the same messages were consumed twice',
      [made('a', undefined, 4), committedAt('a', 0), made('b', 2, 6), committedAt('b', 1)],
      [1, 3],
    ],
    [
      'nothing was made of some messages',
      [
        made('a', undefined, 4),
        committedAt('a', 0),
        made('b', 5, 6),
        committedAt('b', 1),
        ...finalRead(['a.0', 'b.0']),
      ],
      [1, 3],
    ],
    [
      'the offset did not go with it',
      [made('a', undefined, 4), committedAt('a', 0), stands(undefined)],
      [1, 3],
    ],
    [
      'the offset went further',
      [made('a', undefined, 4), committedAt('a', 0), ...finalRead(['a.0']), stands(6)],
      [1, 5],
    ],
  ],
});
