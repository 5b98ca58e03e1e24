import { divergence } from '../../../chaos/checker/divergence.ts';
import { finalRead, produce, read, topic } from '../histories.ts';
import { labelled } from './labelled.ts';

const second = { node: 2 };
const brief = { topic: 't' };
const late = { last: true, invokedMs: 9000, completedMs: 9001 };
const two = [produce(0, 2, 0), ...finalRead(['a.0', 'a.1'])];

labelled(divergence, {
  good: [
    ['all nodes alike', [...two, ...finalRead(['a.0', 'a.1'], second)]],
    ['one node alone', two],
    ['each queue by itself', [...two, ...finalRead([], { ...second, queue: 1 })]],
    [
      'one node has let go of more',
      [
        topic('t', { retentionMs: 10 }),
        produce(0, 2, 0, brief),
        ...finalRead(['a.0', 'a.1'], brief),
        read(1, ['a.1'], { ...brief, ...second, ...late, startOffset: 1 }),
        { type: 'final', node: 2, queue: 0, ...brief, endOffset: 2 },
      ],
    ],
  ],
  bad: [
    ['one ends earlier', [...two, ...finalRead(['a.0'], second)], [3, 5]],
    ['another value', [...two, ...finalRead(['a.0', 'b.0'], second)], [2, 4]],
    [
      'a hole',
      [
        ...two,
        ...finalRead([], { ...second, batches: [{ offset: 1, values: ['a.1'] }], endOffset: 2 }),
      ],
      [2, 5],
    ],
    [
      'the third node',
      [...two, ...finalRead(['a.0', 'a.1'], second), ...finalRead([], { node: 3 })],
      [3, 7],
    ],
  ],
});
