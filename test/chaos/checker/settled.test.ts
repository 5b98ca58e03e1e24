import { settled } from '../../../chaos/checker/settled.ts';
import type { OpenTransaction } from '../../../chaos/history.ts';
import { check, end, open, prepare } from '../histories.ts';
import { labelled } from './labelled.ts';

const half = prepare('t', ['t.0']);
const afterChecks = { afterChecks: true } as const;
const listed = (state: OpenTransaction['state']) =>
  open([], { transactions: [{ transaction: 't', state }], ...afterChecks });

labelled(settled, {
  good: [
    ['ended', [half, end('t', 'rollback'), open([], afterChecks)]],
    ['parked', [half, check('t', 20), check('t', 40), listed('PARKED')]],
    ['undecided, but nobody knows whether it was asked about', [half, open(['t'])]],
    ['no list', [half, check('t', 20)]],
  ],
  bad: [
    ['undecided', [half, open(['t'], afterChecks)], [1, 2]],
    ['asked about, and not ended', [half, check('t', 20), listed('UNDECIDED')], [1, 3]],
    [
      'a preparation that nobody gives up',
      [prepare('t', ['t.0'], { outcome: 'unknown' }), listed('PREPARING')],
      [1, 2],
    ],
    ['two of them', [half, prepare('u', ['u.0']), open(['t', 'u'], afterChecks)], [1, 3], [2, 3]],
    ['one that no line tells of', [open(['x'], afterChecks)], [1]],
  ],
});
