import { inconsistentOffsets } from '../../../chaos/checker/inconsistent-offsets.ts';
import { end, finalRead, plain, prepare, produce, read } from '../histories.ts';
import { labelled } from './labelled.ts';

labelled(inconsistentOffsets, {
  good: [
    ['equal reads', [produce(0, 1, 0), read(0, ['a.0']), ...finalRead(['a.0'])]],
    [
      'the same offset of two queues',
      [produce(0, 1, 0), plain(['b.0'], 0, { queue: 1 }), read(0, ['b.0'], { queue: 1 })],
    ],
    ['nothing', []],
  ],
  bad: [
    ['before and after a failover', [read(0, ['a.0']), ...finalRead(['b.0'])], [1, 2]],
    ['through two nodes', [read(3, ['a.0']), read(3, ['b.0'], { node: 2 })], [1, 2]],
    ['acknowledged and read', [produce(0, 1, 0), read(0, ['b.0'])], [1, 2]],
    ['acknowledged twice', [produce(0, 1, 0), produce(0, 1, 0, { producer: 'b' })], [1, 2]],
    [
      'shown by a read that failed',
      [read(0, ['a.0']), read(0, ['b.0'], { outcome: 'unknown' })],
      [1, 2],
    ],
    [
      'a commit over a message',
      [produce(0, 1, 0), prepare('t', ['t.0']), end('t', 'commit', { baseOffset: 0 })],
      [1, 3],
    ],
  ],
});
