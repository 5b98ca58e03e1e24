import { expect, it } from 'vitest';
import { committedOffsets } from '../../../chaos/checker/committed-offsets.ts';
import type { History } from '../../../chaos/history.ts';
import { commit, committed } from '../histories.ts';

it.each<[string, History]>([
  ['rises', [commit(10, 5), committed(20, 5), commit(30, 9), committed(40, 9)]],
  [
    'a look during the commit sees the old one',
    [commit(10, 5), commit(20, 9, { completedMs: 60 }), committed(40, 5)],
  ],
  [
    'an unknown commit binds nothing',
    [commit(10, 5), commit(20, 9, { outcome: 'unknown' }), committed(40, 5)],
  ],
  [
    'an unknown commit may show',
    [commit(10, 5), commit(20, 9, { outcome: 'unknown' }), committed(40, 9)],
  ],
  ['overlapping looks', [commit(10, 9), committed(5, undefined), committed(11, 9)]],
  ['never committed', [committed(10, undefined)]],
  [
    'each queue by itself',
    [commit(10, 9), commit(10, 3, { queue: 1 }), committed(20, 3, { queue: 1 })],
  ],
])('fine: %s', (_, history) => {
  expect(committedOffsets(history)).toEqual([]);
});

it.each<[string, History]>([
  ['below an acknowledged commit', [commit(10, 5), commit(20, 9), committed(40, 5)]],
  ['gone', [commit(10, 5), committed(40, undefined)]],
  [
    'below an earlier look',
    [
      commit(10, 5),
      commit(20, 9, { outcome: 'unknown' }),
      committed(40, 9),
      committed(50, 5, { node: 2 }),
    ],
  ],
  ['higher than anybody committed', [commit(10, 5), committed(20, 6)]],
])('falls: %s', (_, history) => {
  expect(committedOffsets(history).map(({ kind }) => kind)).toEqual(['offsets_fell']);
});
