import { phantom } from '../../../chaos/checker/phantom.ts';
import {
  check,
  end,
  finalRead,
  prepare,
  produce,
  read,
  topic,
  unknownProduce,
} from '../histories.ts';
import { labelled } from './labelled.ts';

const half = prepare('t', ['t.0']);

const several = prepare('s', ['s.0'], { others: [{ queue: 1, values: ['s.1', 's.2'] }] });

labelled(phantom, {
  good: [
    ['sent, outcome unknown', [unknownProduce(0, 1), ...finalRead(['a.0'])]],
    ['a half message', [half, end('t', 'commit', { baseOffset: 0 }), ...finalRead(['t.0'])]],
    ['nothing', finalRead([])],
    ['asked about', [half, check('t', 20, { values: ['t.0'] })]],
    ['asked about, without its messages', [half, check('t', 20)]],
    ['asked about all parts', [several, check('s', 20, { values: ['s.0', 's.1', 's.2'] })]],
    ['asked about without one part', [several, check('s', 20, { values: ['s.1', 's.2'] })]],
  ],
  bad: [
    ['nobody sent it', finalRead(['b.0']), [1]],
    ['its bytes differ', [produce(0, 1, 0), read(0, ['damaged a.0 01234567'])], [2]],
    ['sent to another queue', [unknownProduce(0, 1), read(0, ['a.0'], { queue: 1 })], [1, 2]],
    [
      'from the former life of a topic',
      [
        topic('x', { topic: 'x1' }),
        produce(0, 1, 0, { topic: 'x1' }),
        read(0, ['a.0'], { topic: 'x2' }),
      ],
      [2, 3],
    ],
    ['asked about with other messages', [half, check('t', 20, { values: ['t.1'] })], [1, 2]],
    ['asked about half a part', [several, check('s', 20, { values: ['s.0', 's.1'] })], [1, 2]],
    ['a part in the queue of another', [several, read(0, ['s.1'])], [1, 2]],
    ['asked about what nobody prepared', [check('x', 20)], [1]],
    ['told once', [read(0, ['b.0']), read(0, ['b.0'], { node: 2 })], [1]],
  ],
});
