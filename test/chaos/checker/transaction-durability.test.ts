import { transactionDurability } from '../../../chaos/checker/transaction-durability.ts';
import { end, finalRead, open, plain, prepare, read, topic } from '../histories.ts';
import { labelled } from './labelled.ts';

const half = prepare('t', ['t.0']);
const committed = end('t', 'commit', { baseOffset: 0 });
const several = prepare('s', ['s.0'], { others: [{ queue: 1, values: ['s.1'] }] });
const severalCommitted = end('s', 'commit', {
  baseOffset: 0,
  others: [{ queue: 1, baseOffset: 0 }],
});
const noAnswer = end('t', 'commit', { outcome: 'unknown' });
const unknown = { outcome: 'fail', reason: 'TRANSACTION_NOT_FOUND' } as const;

labelled(transactionDurability, {
  good: [
    ['committed and there', [half, committed, ...finalRead(['t.0'])]],
    ['rolled back and not there', [half, end('t', 'rollback'), ...finalRead([])]],
    ['never ended', [half, ...finalRead([])]],
    [
      'a commit without an answer',
      [half, end('t', 'commit', { outcome: 'unknown' }), ...finalRead([])],
    ],
    [
      'never prepared',
      [prepare('t', ['t.0'], { outcome: 'unknown' }), end('t', 'rollback', unknown)],
    ],
    [
      'its topic is gone',
      [topic('x'), prepare('t', ['t.0'], { topic: 'x' }), end('t', 'commit', { topic: 'x' })],
    ],
    [
      'committed in both queues',
      [several, severalCommitted, ...finalRead(['s.0']), ...finalRead(['s.1'], { queue: 1 })],
    ],
    ['undecided to the end, and listed', [half, open(['t'])]],
    ['ended, and not listed', [half, end('t', 'rollback'), open([])]],
    [
      'rolled back by whom we do not know',
      [half, end('t', 'rollback', { outcome: 'unknown' }), open([])],
    ],
    ['prepared or not', [prepare('t', ['t.0'], { outcome: 'unknown' }), open([])]],
    ['a commit without an answer took', [half, noAnswer, ...finalRead(['t.0']), open([])]],
  ],
  bad: [
    [
      'lost in its second queue',
      [several, severalCommitted, ...finalRead(['s.0']), ...finalRead([], { queue: 1 })],
      [2, 2, 6],
    ],
    ['dropped undecided', [half, open([])], [1, 2]],
    ['dropped by a commit', [half, noAnswer, ...finalRead([]), open([])], [1, 5]],
    ['lost', [half, committed, ...finalRead([])], [2, 2, 4]],
    [
      'another one is there',
      [half, committed, plain(['b.0'], 9), ...finalRead(['b.0'])],
      [2, 2, 5],
    ],
    ['twice', [half, committed, ...finalRead(['t.0', 't.0'])], [2, 2, 3, 4]],
    ['during the run only', [half, committed, read(0, ['t.0']), ...finalRead([])], [2, 2, 5]],
    ['a half message is forgotten', [half, end('t', 'commit', unknown)], [1, 2]],
  ],
});
