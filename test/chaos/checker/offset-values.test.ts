import { expect, it } from 'vitest';
import { offsetValues } from '../../../chaos/checker/offset-values.ts';
import type { History } from '../../../chaos/history.ts';
import { finalRead, produce, read } from '../histories.ts';

it.each<[string, History]>([
  ['equal reads', [produce(0, 1, 0), read(0, ['a.0']), ...finalRead(['a.0'])]],
  ['the same offset of two queues', [read(0, ['a.0']), read(0, ['b.0'], { queue: 1 })]],
  ['nothing', []],
])('one value: %s', (_, history) => {
  expect(offsetValues(history)).toEqual([]);
});

it.each<[string, History]>([
  ['before and after a failover', [read(0, ['a.0']), ...finalRead(['b.0'])]],
  ['through two nodes', [read(3, ['a.0']), read(3, ['b.0'], { node: 2 })]],
  ['acknowledged and read', [produce(0, 1, 0), read(0, ['b.0'])]],
  ['acknowledged twice', [produce(0, 1, 0), produce(0, 1, 0, { producer: 'b' })]],
  ['shown by a read that failed', [read(0, ['a.0']), read(0, ['b.0'], { outcome: 'unknown' })]],
])('two values: %s', (_, history) => {
  expect(offsetValues(history).map(({ kind }) => kind)).toEqual(['conflicting']);
});
