import { expect, it } from 'vitest';
import { duplicates } from '../../../chaos/checker/duplicates.ts';
import type { History } from '../../../chaos/history.ts';
import { finalRead, produce, read, unknownProduce } from '../histories.ts';

it.each<[string, History]>([
  ['sent twice, stored once', [unknownProduce(0, 1), produce(0, 1, 0), ...finalRead(['a.0'])]],
  ['read twice', [read(0, ['a.0']), read(0, ['a.0'], { node: 2 })]],
])('once: %s', (_, history) => {
  expect(duplicates(history)).toEqual([]);
});

it.each<[string, History]>([
  ['side by side', finalRead(['a.0', 'a.0'])],
  ['far apart, in two reads', [read(0, ['a.0']), read(7, ['a.0'])]],
  ['in two queues', [read(0, ['a.0']), read(0, ['a.0'], { queue: 1 })]],
])('twice: %s', (_, history) => {
  expect(duplicates(history).map(({ kind }) => kind)).toEqual(['duplicated']);
});
