import { transactionDurability } from '../../../chaos/checker/transaction-durability.ts';
import { end, finalRead, plain, prepare, read, topic } from '../histories.ts';
import { labelled } from './labelled.ts';

const half = prepare('t', ['t.0']);
const committed = end('t', 'commit', { baseOffset: 0 });
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
  ],
  bad: [
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
