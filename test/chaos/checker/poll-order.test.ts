import { pollOrder } from '../../../chaos/checker/poll-order.ts';
import { plain, read } from '../histories.ts';
import { labelled } from './labelled.ts';

const batches = (...offsets: number[]) =>
  offsets.map((offset) => ({ offset, values: [`a.${offset}`] }));
const sent = plain(['a.4', 'a.5', 'a.6'], 4);
const by = { process: 'consumer' };

labelled(pollOrder, {
  good: [
    ['one after the other', [sent, read(4, [], { batches: batches(4, 5, 6), endOffset: 7 })]],
    ['empty at the end', [read(4, [], { nextOffset: 4 })]],
    ['goes on', [sent, read(4, ['a.4'], { ...by, nextOffset: 5 }), read(5, ['a.5'], by)]],
    ['moves by itself', [sent, read(5, ['a.5'], by), read(4, ['a.4'], { ...by, seek: true })]],
    [
      'a failed one in between',
      [
        sent,
        read(4, ['a.4'], by),
        read(5, [], { ...by, outcome: 'unknown' }),
        read(5, ['a.5'], by),
      ],
    ],
    ['two consumers', [sent, read(4, ['a.4'], by), read(4, ['a.4'])]],
  ],
  bad: [
    ['a hole between batches', [read(4, [], { batches: batches(4, 6), endOffset: 7 })], [1]],
    ['a step back', [read(4, [], { batches: batches(4, 4), endOffset: 7 })], [1]],
    ['not where it was asked to begin', [read(4, [], { batches: batches(5), endOffset: 7 })], [1]],
    ['sent on beyond what it showed', [read(4, ['a.4'], { nextOffset: 6 })], [1]],
    ['sent back', [read(4, ['a.4'], { nextOffset: 4 })], [1]],
    ['a skip between two polls', [read(4, ['a.4'], by), read(6, ['a.6'], by)], [1, 2]],
    ['a step back between two polls', [read(4, ['a.4'], by), read(4, ['a.4'], by)], [1, 2]],
  ],
});
