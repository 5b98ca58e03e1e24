import { describe, expect, it } from 'vitest';
import { lostWrites } from '../../../chaos/checker/lost-writes.ts';
import type { History } from '../../../chaos/history.ts';
import {
  end,
  finalRead,
  prepare,
  produce,
  read,
  refusedProduce,
  unknownProduce,
} from '../histories.ts';

const kinds = (history: History) => lostWrites(history).map(({ kind }) => kind);

describe('nothing is lost', () => {
  it.each<[string, History]>([
    ['acknowledged and read', [produce(0, 2, 0), ...finalRead(['a.0', 'a.1'])]],
    ['never acknowledged, never read', [unknownProduce(0, 1), ...finalRead([])]],
    ['never acknowledged, yet read', [unknownProduce(0, 1), ...finalRead(['a.0'])]],
    ['refused for certain', [refusedProduce(0, 1), ...finalRead([])]],
    [
      'acknowledged at the second attempt',
      [unknownProduce(0, 1), produce(0, 1, 0, { duplicate: true }), ...finalRead(['a.0'])],
    ],
    ['the same answer twice', [produce(0, 1, 0), produce(0, 1, 0), ...finalRead(['a.0'])]],
    [
      'a committed half message',
      [prepare('t', ['t.0']), end('t', 'commit', { baseOffset: 0 }), ...finalRead(['t.0'])],
    ],
    ['a rolled back one', [prepare('t', ['t.0']), end('t', 'rollback'), ...finalRead([])]],
    ['only the final read has to show it', [produce(0, 1, 0), read(0, []), ...finalRead(['a.0'])]],
  ])('%s', (_, history) => {
    expect(lostWrites(history)).toEqual([]);
  });
});

describe('something is lost or changed', () => {
  it.each<[string, string[], History]>([
    ['the tail', ['lost'], [produce(0, 2, 0), ...finalRead(['a.0'])]],
    ['everything', ['lost', 'lost'], [produce(0, 2, 0), ...finalRead([])]],
    [
      'through one node of two',
      ['lost'],
      [produce(0, 1, 0), ...finalRead(['a.0']), ...finalRead([], { node: 2 })],
    ],
    [
      'another value is there',
      ['changed'],
      [produce(0, 1, 0), produce(0, 1, 1, { producer: 'b' }), ...finalRead(['b.0', 'b.0'])],
    ],
    ['seen during the run only', ['lost'], [produce(0, 1, 0), read(0, ['a.0']), ...finalRead([])]],
    [
      'a committed half message',
      ['lost'],
      [prepare('t', ['t.0']), end('t', 'commit', { baseOffset: 0 }), ...finalRead([])],
    ],
    ['two answers to one write', ['changed'], [produce(0, 1, 0), produce(0, 1, 1)]],
    [
      'two places of one commit',
      ['changed'],
      [end('t', 'commit', { baseOffset: 0 }), end('t', 'commit', { baseOffset: 4 })],
    ],
  ])('%s', (_, expected, history) => {
    expect(kinds(history)).toEqual(expected);
  });
});
