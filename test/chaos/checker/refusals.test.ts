import { expect, it } from 'vitest';
import { falseRefusals } from '../../../chaos/checker/refusals.ts';
import type { History } from '../../../chaos/history.ts';
import { finalRead, produce, refusedProduce, unknownProduce } from '../histories.ts';

const repetition = produce(0, 1, 0, { duplicate: true });

it.each<[string, History]>([
  ['refused, then stored', [refusedProduce(0, 1), produce(0, 1, 0), ...finalRead(['a.0'])]],
  ['a repetition of an unknown one', [unknownProduce(0, 1), refusedProduce(0, 1), repetition]],
  ['a repetition of an acknowledged one', [produce(0, 1, 0), repetition]],
  ['refused, never seen', [refusedProduce(0, 1), ...finalRead([])]],
])('true: %s', (_, history) => {
  expect(falseRefusals(history)).toEqual([]);
});

it.each<[string, History]>([
  ['a repetition of a refused one', [refusedProduce(0, 1), repetition]],
  ['a repetition of nothing', [repetition]],
  ['refused, yet read', [refusedProduce(0, 1), ...finalRead(['a.0'])]],
])('false: %s', (_, history) => {
  expect(falseRefusals(history).map(({ kind }) => kind)).toEqual(['false_refusals']);
});
