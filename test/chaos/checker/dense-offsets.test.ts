import { denseOffsets } from '../../../chaos/checker/dense-offsets.ts';
import { finalRead, plain, read } from '../histories.ts';
import { labelled } from './labelled.ts';

const sent = plain(['a.0', 'a.1', 'a.2'], 0);
const batches = (...offsets: number[]) =>
  offsets.map((offset) => ({ offset, values: [`a.${offset}`] }));

labelled(denseOffsets, {
  good: [
    ['all of them', [sent, ...finalRead(['a.0', 'a.1', 'a.2'])]],
    ['none', finalRead([])],
    ['not yet at the end', [sent, read(0, ['a.0'], { endOffset: 3 })]],
    ['a failed read knows no end', [sent, read(0, ['a.0'], { outcome: 'unknown', endOffset: 0 })]],
  ],
  bad: [
    ['a hole', finalRead([], { batches: batches(0, 2), endOffset: 3 }), [1, 2]],
    ['the first is missing', finalRead([], { batches: batches(1, 2), endOffset: 3 }), [2]],
    ['the last is missing', finalRead([], { batches: batches(0, 1), endOffset: 3 }), [1, 2]],
    ['beyond its own end', [read(0, ['a.0', 'a.1'], { endOffset: 1 })], [1]],
  ],
});
