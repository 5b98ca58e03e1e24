import { transactionAtomicity } from '../../../chaos/checker/transaction-atomicity.ts';
import { end, finalRead, plain, prepare, read } from '../histories.ts';
import { labelled } from './labelled.ts';

const half = prepare('t', ['t.0', 't.1']);
const unknown = end('t', 'commit', { outcome: 'unknown' });

labelled(transactionAtomicity, {
  good: [
    ['all', [half, end('t', 'commit', { baseOffset: 0 }), ...finalRead(['t.0', 't.1'])]],
    ['none', [half, unknown, ...finalRead([])]],
    ['a read may stop inside', [half, unknown, read(0, ['t.0'], { endOffset: 2 })]],
    ['a read may begin inside', [half, unknown, read(1, ['t.1'])]],
  ],
  bad: [
    ['a part', [half, unknown, ...finalRead(['t.0'], { endOffset: 2 })], [3]],
    ['torn apart', [half, unknown, plain(['b.0'], 1), ...finalRead(['t.0', 'b.0', 't.1'])], [4, 4]],
    ['in another order', [half, unknown, ...finalRead(['t.1', 't.0'])], [3, 3], [3]],
    ['the end comes in between', [half, unknown, read(0, ['t.0'])], [3]],
  ],
});
