import { delayNeverEarly } from '../../../chaos/checker/delay-never-early.ts';
import { unseen } from '../../../chaos/checker/unseen.ts';
import type { Outcome, Recall } from '../../../chaos/history.ts';
import { finalRead, plain, read } from '../histories.ts';
import { labelled } from './labelled.ts';

const later = plain(['later.0', 'later.1'], undefined, { producer: 'later', deliverAtMs: 5000 });
const other = plain(['other'], 0, { producer: 'other' });
const shown = (atMs: number) =>
  read(0, ['other', 'later.0', 'later.1'], { invokedMs: atMs - 10, completedMs: atMs });
const recall = (outcome: Outcome): Recall => ({
  ...{ type: 'recall', process: 'later', invokedMs: 20, completedMs: 30, outcome },
  ...{ queue: 0, values: ['later.0', 'later.1'] },
  ...(outcome === 'fail' ? { reason: 'NOT_DELAYED' } : {}),
});

labelled(delayNeverEarly, {
  good: [
    ['read when its time has come', [later, other, shown(5000)]],
    ['as early as the clocks of a shard may run ahead', [later, other, shown(4700)]],
    ['not read before', [later, other, read(0, ['other'])]],
    ['taken back, never read', [later, other, recall('ok'), ...finalRead(['other'])]],
    ['taken back too late', [later, other, recall('fail'), shown(5000)]],
    ['perhaps taken back: read', [later, other, recall('unknown'), shown(5000)]],
    ['perhaps taken back: not read', [later, other, recall('unknown'), ...finalRead(['other'])]],
  ],
  bad: [
    ['too early', [later, other, shown(4699)], [1, 3], [1, 3]],
    [
      'read though it was taken back',
      [later, other, recall('ok'), shown(5000)],
      [1, 3, 4],
      [1, 3, 4],
    ],
  ],
});

labelled(unseen, {
  good: [
    ['taken back by an attempt without an answer', [later, recall('unknown'), recall('fail')]],
  ],
  bad: [
    ['delayed and lost', [later, other, ...finalRead(['other'])], [1, 4]],
    ['the recall was refused', [later, other, recall('fail'), ...finalRead(['other'])], [1, 5]],
  ],
});
