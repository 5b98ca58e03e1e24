import { lostWrite } from '../../../chaos/checker/lost-write.ts';
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

const brief = topic('t', { retentionMs: 10 });
const inBrief = { topic: 't' };
const later = { ...inBrief, invokedMs: 9000, completedMs: 9001 };

labelled(lostWrite, {
  good: [
    ['acknowledged and read', [produce(0, 2, 0), ...finalRead(['a.0', 'a.1'])]],
    ['never acknowledged, never read', [unknownProduce(0, 1), ...finalRead([])]],
    ['never acknowledged, yet read', [unknownProduce(0, 1), ...finalRead(['a.0'])]],
    ['refused for certain', [refusedProduce(0, 1), ...finalRead([])]],
    ['acknowledged, and no read came that far', [produce(0, 1, 0), produce(1, 1, 1), read(0, [])]],
    [
      'acknowledged at the second attempt',
      [unknownProduce(0, 1), produce(0, 1, 0, { duplicate: true }), ...finalRead(['a.0'])],
    ],
    [
      'retention took it before anybody came',
      [brief, produce(0, 2, 0, inBrief), read(1, ['a.1'], { ...later, startOffset: 1 })],
    ],
  ],
  bad: [
    [
      'above what retention took',
      [brief, produce(0, 3, 0, inBrief), read(2, ['a.2'], { ...later, startOffset: 1 })],
      [2, 3],
    ],
    ['the beginning', [produce(0, 1, 0), produce(1, 1, 1), read(1, ['a.1'])], [1, 3]],
    [
      'the middle',
      [produce(0, 1, 0), produce(1, 1, 1), produce(2, 1, 2), read(0, ['a.0']), read(2, ['a.2'])],
      [2, 5],
    ],
    [
      'the end, another one in its place',
      [produce(0, 1, 0), plain(['b.0'], undefined), read(0, ['b.0'])],
      [1, 3],
    ],
    ['part of one request', [produce(0, 2, 0), read(0, ['a.0'])], ...[]],
    [
      'part of one that a read proves to have happened',
      [unknownProduce(0, 2), plain(['b.0'], 2), read(1, ['a.1', 'b.0'])],
      [3, 3],
    ],
    ['every copy of a plain one', [plain(['b.0'], 0), read(0, ['b.1'])], [1, 2]],
  ],
});
