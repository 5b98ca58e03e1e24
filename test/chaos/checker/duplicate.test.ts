import { duplicate } from '../../../chaos/checker/duplicate.ts';
import { finalRead, plain, produce, read, unknownProduce } from '../histories.ts';
import { labelled } from './labelled.ts';

const unknown = { outcome: 'unknown' } as const;
const again = { invokedMs: 20, completedMs: 21, duplicate: true } as const;

labelled(duplicate, {
  good: [
    ['sent twice, stored once', [unknownProduce(0, 1), produce(0, 1, 0), ...finalRead(['a.0'])]],
    ['read twice', [produce(0, 1, 0), read(0, ['a.0']), read(0, ['a.0'], { node: 2 })]],
    [
      'a plain one that its client sent twice',
      [plain(['b.0'], undefined, unknown), plain(['b.0'], 1), ...finalRead(['b.0', 'b.0'])],
    ],
    ['repeated after its ack', [produce(0, 1, 0), produce(0, 1, 0, again), ...finalRead(['a.0'])]],
    [
      'repeated after its ack, without an answer at first',
      [
        produce(0, 1, 0),
        produce(0, 1, undefined, { ...again, ...unknown }),
        produce(0, 1, 0, again),
        ...finalRead(['a.0']),
      ],
    ],
    ['repeated before its ack', [produce(0, 1, 0), produce(0, 1, 0), ...finalRead(['a.0'])]],
    [
      'below the level at which acks last',
      [produce(0, 1, undefined), produce(0, 1, undefined, { ...again, duplicate: false })],
    ],
  ],
  bad: [
    ['repeated, with another answer', [produce(0, 1, 0), produce(0, 1, 4, again)], [1, 2]],
    [
      'repeated, and stored again',
      [produce(0, 1, 0), produce(0, 1, 0, again), ...finalRead(['a.0', 'a.0'])],
      [1, 3],
    ],
    [
      'repeated, and answered as new',
      [produce(0, 1, 0), produce(0, 1, 0, { ...again, duplicate: false })],
      [1, 2],
    ],
    ['side by side', finalRead(['a.0', 'a.0']), [1, 1]],
    ['two answers to one write', [produce(0, 1, 0), produce(0, 1, 4)], [1, 2]],
    ['far apart, in two reads', [produce(0, 1, 0), read(0, ['a.0']), read(7, ['a.0'])], [1, 3]],
    ['in two queues', [read(0, ['a.0']), read(0, ['a.0'], { queue: 1 })], [1, 2]],
    ['a plain one that was sent once', [plain(['b.0'], 0), ...finalRead(['b.0', 'b.0'])], [1, 2]],
    [
      'a plain one, once more than it was sent',
      [plain(['b.0'], 0), plain(['b.0'], 1), read(0, ['b.0', 'b.0', 'b.0'])],
      [1, 2, 3],
    ],
    [
      'a plain one whose repetition was refused',
      [plain(['b.0'], 0), plain(['b.0'], undefined, { outcome: 'fail' }), read(0, ['b.0', 'b.0'])],
      [1, 3],
    ],
  ],
});
