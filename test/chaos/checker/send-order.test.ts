import { sendOrder } from '../../../chaos/checker/send-order.ts';
import { finalRead, plain, produce, read, unknownProduce } from '../histories.ts';
import { labelled } from './labelled.ts';

const later = { epoch: 1, values: ['a2.0'] };
const refused = { outcome: 'fail', reason: 'PRODUCER_FENCED' } as const;

labelled(sendOrder, {
  good: [
    ['in order', [produce(0, 2, 0), produce(2, 1, 2), ...finalRead(['a.0', 'a.1', 'a.2'])]],
    [
      'other producers between',
      [
        produce(0, 1, 0),
        produce(0, 1, 1, { producer: 'b' }),
        produce(1, 1, 2),
        ...finalRead(['a.0', 'b.0', 'a.1']),
      ],
    ],
    ['acknowledged in another order', [produce(1, 1, 1), produce(0, 1, 0)]],
    ['each queue by itself', [produce(0, 1, 5), produce(1, 1, 0, { queue: 1 })]],
    ['a new epoch begins at 0', [produce(5, 1, 0), produce(0, 1, 1, later)]],
    [
      'a former epoch is refused behind a newer one',
      [produce(0, 1, 0), produce(0, 1, 1, later), produce(1, 1, undefined, refused)],
    ],
    ['a plain producer has no order', [plain(['b.1'], 0), plain(['b.0'], 1)]],
  ],
  bad: [
    ['by the acknowledgements', [produce(0, 1, 1), produce(1, 1, 0)], [2, 1]],
    [
      'by what is read',
      [unknownProduce(0, 1), unknownProduce(1, 1), ...finalRead(['a.1', 'a.0'])],
      [3, 3],
    ],
    [
      'an unknown one read behind a later one',
      [unknownProduce(0, 1), produce(1, 1, 0), read(0, ['a.1', 'a.0'])],
      [2, 3],
    ],
    ['a former epoch behind a newer one', [produce(0, 1, 1), produce(0, 1, 0, later)], [2, 1]],
    [
      'a former epoch comes late and is taken',
      [produce(0, 1, 0), produce(0, 1, 1, later), produce(1, 1, 2)],
      [2, 3],
    ],
    [
      'a former epoch comes late, without an answer, and is read',
      [produce(0, 1, 0, later), unknownProduce(0, 1), read(1, ['a.0'])],
      [1, 3],
    ],
  ],
});
