import { unseen } from '../../../chaos/checker/unseen.ts';
import {
  finalRead,
  plain,
  produce,
  read,
  refusedProduce,
  topic,
  unknownProduce,
} from '../histories.ts';
import { labelled } from './labelled.ts';

const gone = { topic: 't', queue: 0 };
const lasting = { last: true, startOffset: 2, invokedMs: 9000, completedMs: 9001 };

labelled(unseen, {
  good: [
    ['only the last read has to show it', [produce(0, 1, 0), read(0, []), ...finalRead(['a.0'])]],
    ['no answer, and it is not there', [unknownProduce(0, 1), ...finalRead([])]],
    ['refused, and it is not there', [refusedProduce(0, 1), ...finalRead([])]],
    ['its topic is gone', [topic('t'), produce(0, 1, 0, { topic: 't' }), ...finalRead([])]],
    [
      'retention took it',
      [
        topic('t', { retentionMs: 10 }),
        produce(0, 2, 0, { topic: 't' }),
        read(2, [], { ...gone, ...lasting }),
        { type: 'final', node: 1, ...gone, endOffset: 2 },
      ],
    ],
  ],
  bad: [
    ['the tail', [produce(0, 1, 0), produce(1, 1, 1), ...finalRead(['a.0'])], [2, 4]],
    ['everything', [produce(0, 1, 0), plain(['b.0'], 1), ...finalRead([])], [1, 4], [2, 4]],
    [
      'seen during the run only',
      [unknownProduce(0, 1), read(0, ['a.0']), ...finalRead([])],
      [2, 4],
    ],
    ['half of a request', [produce(0, 2, 0), ...finalRead(['a.0'])], [1, 3]],
    [
      'shown in another queue',
      [produce(0, 1, 0), read(0, ['a.0'], { queue: 1 }), ...finalRead([])],
      [1, 4],
    ],
    [
      'above what retention took',
      [
        topic('t', { retentionMs: 10 }),
        produce(0, 3, 2, { topic: 't' }),
        read(2, [], { ...gone, ...lasting }),
        { type: 'final', node: 1, ...gone, endOffset: 5 },
      ],
      [2, 4],
    ],
  ],
});
