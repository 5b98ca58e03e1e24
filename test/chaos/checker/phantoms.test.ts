import { expect, it } from 'vitest';
import { phantoms } from '../../../chaos/checker/phantoms.ts';
import type { History } from '../../../chaos/history.ts';
import { finalRead, prepare, read, unknownProduce } from '../histories.ts';

it.each<[string, History]>([
  ['sent, outcome unknown', [unknownProduce(0, 1), ...finalRead(['a.0'])]],
  ['a half message', [prepare('t', ['t.0']), ...finalRead(['t.0'])]],
])('sent: %s', (_, history) => {
  expect(phantoms(history)).toEqual([]);
});

it.each<[string, History]>([
  ['nobody sent it', finalRead(['b.0'])],
  ['its bytes differ', [unknownProduce(0, 1), ...finalRead(['damaged a.0 01234567'])]],
  ['sent to another queue', [unknownProduce(0, 1), read(0, ['a.0'], { queue: 1 })]],
])('never sent: %s', (_, history) => {
  expect(phantoms(history).map(({ kind }) => kind)).toEqual(['phantoms']);
});
