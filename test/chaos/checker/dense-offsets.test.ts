import { expect, it } from 'vitest';
import { denseOffsets } from '../../../chaos/checker/dense-offsets.ts';
import type { History } from '../../../chaos/history.ts';
import { finalRead, read } from '../histories.ts';

const batches = (...offsets: number[]) =>
  offsets.map((offset) => ({ offset, values: [`a.${offset}`] }));

it.each<[string, History]>([
  ['one after the other', [read(4, [], { batches: batches(4, 5, 6), endOffset: 7 })]],
  ['empty at the end', [read(4, [])]],
  ['not yet at the end', [read(0, ['a.0'], { endOffset: 9 })]],
  ['a failed read knows no end', [read(4, [], { outcome: 'unknown', endOffset: 0 })]],
  ['all nodes end alike', [...finalRead(['a.0']), ...finalRead(['a.0'], { node: 2 })]],
])('dense: %s', (_, history) => {
  expect(denseOffsets(history)).toEqual([]);
});

it.each<[string, History]>([
  ['a hole between batches', [read(4, [], { batches: batches(4, 6), endOffset: 7 })]],
  ['a step back', [read(4, [], { batches: batches(4, 4), endOffset: 7 })]],
  ['not where it was asked to begin', [read(4, [], { batches: batches(5), endOffset: 7 })]],
  ['beyond its own end', [read(0, ['a.0', 'a.1'], { endOffset: 1 })]],
  ['different ends', [...finalRead(['a.0']), ...finalRead(['a.0', 'a.1'], { node: 2 })]],
])('not dense: %s', (_, history) => {
  expect(denseOffsets(history).map(({ kind }) => kind)).toEqual(['gaps']);
});
