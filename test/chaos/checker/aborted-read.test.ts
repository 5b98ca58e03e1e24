import { abortedRead } from '../../../chaos/checker/aborted-read.ts';
import {
  end,
  finalRead,
  prepare,
  produce,
  read,
  refusedProduce,
  unknownProduce,
} from '../histories.ts';
import { labelled } from './labelled.ts';

const repetition = produce(0, 1, 0, { duplicate: true });
const half = prepare('t', ['t.0']);
const refusedCommit = end('t', 'commit', {
  outcome: 'fail',
  reason: 'TRANSACTION_ENDED',
  state: 'ROLLED_BACK',
});

labelled(abortedRead, {
  good: [
    ['refused, then stored', [refusedProduce(0, 1), produce(0, 1, 0), ...finalRead(['a.0'])]],
    ['a repetition of an unknown one', [unknownProduce(0, 1), refusedProduce(0, 1), repetition]],
    ['a repetition of an acknowledged one', [produce(0, 1, 0), repetition]],
    ['two at once, the second answer first', [repetition, produce(0, 1, 0)]],
    ['refused, never seen', [refusedProduce(0, 1), ...finalRead([])]],
    ['rolled back, never seen', [half, end('t', 'rollback'), read(0, [])]],
  ],
  bad: [
    ['refused, yet read', [refusedProduce(0, 1), ...finalRead(['a.0'])], [1, 2]],
    [
      'refused twice, yet read',
      [refusedProduce(0, 1), refusedProduce(0, 1), read(0, ['a.0'])],
      [1, 2, 3],
    ],
    ['refused, yet its repetition was stored already', [refusedProduce(0, 1), repetition], [1, 2]],
    ['a repetition of nothing', [repetition], [1]],
    ['rolled back, yet read', [half, end('t', 'rollback'), read(0, ['t.0'])], [2, 3]],
    ['refused as rolled back, yet read', [half, refusedCommit, read(0, ['t.0'])], [2, 3]],
  ],
});
