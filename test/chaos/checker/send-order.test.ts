import { expect, it } from 'vitest';
import { sendOrder } from '../../../chaos/checker/send-order.ts';
import type { History } from '../../../chaos/history.ts';
import { finalRead, produce, read, unknownProduce } from '../histories.ts';

it.each<[string, History]>([
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
])('fine: %s', (_, history) => {
  expect(sendOrder(history)).toEqual([]);
});

it.each<[string, History]>([
  ['by the acknowledgements', [produce(0, 1, 1), produce(1, 1, 0)]],
  ['by what is read', [unknownProduce(0, 1), unknownProduce(1, 1), ...finalRead(['a.1', 'a.0'])]],
  [
    'an unknown one read behind a later one',
    [unknownProduce(0, 1), produce(1, 1, 0), read(0, ['a.1', 'a.0'])],
  ],
])('reordered: %s', (_, history) => {
  expect(sendOrder(history).map(({ kind }) => kind)).toEqual(['reordered']);
});
