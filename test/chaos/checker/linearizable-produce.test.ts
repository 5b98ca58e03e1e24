import { linearizableProduce } from '../../../chaos/checker/linearizable-produce.ts';
import { end, plain, prepare, produce, read } from '../histories.ts';
import { labelled } from './labelled.ts';

const from = (invokedMs: number, completedMs = invokedMs + 1) => ({ invokedMs, completedMs });
const unknown = { outcome: 'unknown' } as const;
const half = prepare('t', ['t.0']);

labelled(linearizableProduce, {
  good: [
    ['one after the other', [plain(['b.0'], 0, from(10)), plain(['c.0'], 1, from(20))]],
    ['at the same time', [plain(['b.0'], 1, from(10, 30)), plain(['c.0'], 0, from(20))]],
    [
      'the repetition of one that began before',
      [
        plain(['b.0'], undefined, { ...from(10), ...unknown }),
        plain(['c.0'], 1, from(20)),
        plain(['b.0'], 0, from(30)),
      ],
    ],
    [
      'each queue by itself',
      [plain(['b.0'], 5, from(10)), plain(['c.0'], 1, { ...from(20), queue: 1 })],
    ],
    [
      'a commit',
      [plain(['b.0'], 0, from(10)), half, end('t', 'commit', { baseOffset: 1, ...from(50) })],
    ],
  ],
  bad: [
    ['by two producers', [plain(['b.0'], 1, from(10)), plain(['c.0'], 0, from(20))], [1, 2]],
    ['by one producer', [produce(0, 1, 3, from(10)), produce(1, 1, 2, from(20))], [1, 2]],
    [
      'settled by a read',
      [
        plain(['b.0'], 1, from(10)),
        plain(['c.0'], undefined, { ...from(20), ...unknown }),
        read(0, ['c.0']),
      ],
      [1, 3],
    ],
    [
      'its earlier attempt was refused for certain',
      [
        plain(['b.0'], undefined, { ...from(10), outcome: 'fail' }),
        plain(['c.0'], 1, from(20)),
        plain(['b.0'], 0, from(30)),
      ],
      [2, 3],
    ],
    [
      'into the middle of a batch',
      [produce(0, 3, 0, from(10)), plain(['c.0'], 1, from(20))],
      [1, 2],
    ],
    [
      'a commit',
      [plain(['b.0'], 1, from(10)), half, end('t', 'commit', { baseOffset: 0, ...from(50) })],
      [1, 3],
    ],
  ],
});
