import { linearizableFetch } from '../../../chaos/checker/linearizable-fetch.ts';
import type { Listed, Read } from '../../../chaos/history.ts';
import { end, listed, prepare, produce, read } from '../histories.ts';
import { labelled } from './labelled.ts';

const look = (invokedMs: number, endOffset: number, other: Partial<Read> = {}) =>
  read(endOffset, [], {
    ...{ invokedMs, completedMs: invokedMs + 1, endOffset, linearizable: true },
    ...other,
  });
const acked = produce(0, 2, 0, { invokedMs: 10, completedMs: 11 });

const byTime = (other: Partial<Listed>) =>
  listed(90, 9, { soughtMs: 5000, foundOffset: 4, ...other });

labelled(linearizableFetch, {
  good: [
    ['behind what was acknowledged', [acked, look(20, 2)]],
    ['while it is acknowledged', [acked, look(10, 0)]],
    ['an ordinary fetch may be late', [acked, look(20, 0, { linearizable: false })]],
    ['one that failed says nothing', [acked, look(20, 0, { outcome: 'unknown' })]],
    ['two at once', [look(10, 5, { completedMs: 30 }), look(20, 3)]],
    ['each queue by itself', [acked, look(20, 0, { queue: 1 })]],
    ['a list of offsets', [acked, listed(20, 2), look(30, 2)]],
    ['a list without an answer', [acked, listed(20, 0, { outcome: 'unknown' })]],
    ['found by time', [byTime({ beforeMs: 4999, foundMs: 5000 })]],
    ['nothing is that new', [byTime({ foundOffset: 9, beforeMs: 4999 })]],
    ['the very first one', [byTime({ foundOffset: 0, foundMs: 7000 })]],
  ],
  bad: [
    ['before what was acknowledged', [acked, look(20, 1)], [1, 2]],
    ['sees nothing of it', [acked, look(20, 0)], [1, 2]],
    ['the end falls', [look(10, 5), look(20, 4, { node: 2 })], [1, 2]],
    [
      'below what an ordinary fetch saw',
      [look(10, 5, { linearizable: false }), look(20, 4)],
      [1, 2],
    ],
    [
      'before a commit',
      [prepare('t', ['t.0']), end('t', 'commit', { baseOffset: 0 }), look(60, 0)],
      [2, 3],
    ],
    ['a list before what was acknowledged', [acked, listed(20, 1)], [1, 2]],
    ['a list below a list', [listed(10, 5), listed(20, 4, { node: 2 })], [1, 2]],
    ['below what a list showed', [listed(10, 5), look(20, 4)], [1, 2]],
    ['by time past one that is that new', [byTime({ beforeMs: 5000, foundMs: 6000 })], [1]],
    ['by time one that is older', [byTime({ beforeMs: 4000, foundMs: 4999 })], [1]],
  ],
});
