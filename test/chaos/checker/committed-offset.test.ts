import { committedOffset } from '../../../chaos/checker/committed-offset.ts';
import { commit, committed, end, moved, prepare, reset } from '../histories.ts';
import { labelled } from './labelled.ts';

const unknown = { outcome: 'unknown' } as const;

const mover = prepare('m', ['m.0'], { moves: [moved(undefined, 4)] });
const looks = (atMs: number, offset?: number) => committed(atMs, offset, { queue: 9 });

labelled(committedOffset, {
  good: [
    ['rises', [commit(10, 5), committed(20, 5), commit(30, 9), committed(40, 9)]],
    [
      'a look during the commit sees the old one',
      [commit(10, 5), commit(20, 9, { completedMs: 60 }), committed(40, 5)],
    ],
    ['an unknown commit binds nothing', [commit(10, 5), commit(20, 9, unknown), committed(40, 5)]],
    ['an unknown commit may show', [commit(10, 5), commit(20, 9, unknown), committed(40, 9)]],
    ['overlapping looks', [commit(10, 9), committed(5, undefined), committed(11, 9)]],
    ['never committed', [committed(10, undefined)]],
    [
      'each queue by itself',
      [commit(10, 9), commit(10, 3, { queue: 1 }), committed(20, 3, { queue: 1 })],
    ],
    ['moved by a transaction', [mover, end('m', 'commit'), looks(60, 4)]],
    [
      'a commit of a transaction without an answer',
      [mover, end('m', 'commit', unknown), looks(60), looks(70, 4)],
    ],
    ['groups begin with an epoch', [commit(10, 9), committed(20, 9, { epoch: 1 })]],
    ['a reset', [commit(10, 9), reset(20, 3, 1), committed(30, 3, { epoch: 1 })]],
    [
      'a commit while it is reset',
      [reset(10, 0, 1, { completedMs: 50 }), commit(20, 9), committed(60, 0, { epoch: 1 })],
    ],
    [
      'a commit behind a reset without an answer',
      [reset(10, 0, undefined, unknown), commit(20, 9), committed(60, 0, { epoch: 1 })],
    ],
  ],
  bad: [
    ['below an acknowledged commit', [commit(10, 5), commit(20, 9), committed(40, 5)], [2, 3]],
    [
      'below an acknowledged commit in the epoch that groups begin with',
      [commit(10, 9), committed(20, 5, { epoch: 1 })],
      [1, 2],
      [2],
    ],
    ['gone', [commit(10, 5), committed(40, undefined)], [1, 2]],
    [
      'below an earlier look',
      [commit(10, 5), commit(20, 9, unknown), committed(40, 9), committed(50, 5, { node: 2 })],
      [3, 4],
    ],
    ['higher than anybody committed', [commit(10, 5), committed(20, 6)], [2]],
    ['refused for certain', [commit(10, 5, { outcome: 'fail' }), committed(20, 5)], [2]],
    ['a transaction moved it, and it is back', [mover, end('m', 'commit'), looks(60)], [2, 3]],
    ['a transaction that rolled back moved it', [mover, end('m', 'rollback'), looks(60, 4)], [3]],
    ['a reset is undone', [commit(10, 9), reset(20, 3, 1), committed(30, 9)], [2, 3]],
    [
      'below a commit behind a reset',
      [reset(10, 0, 1), commit(20, 9), committed(30, 0, { epoch: 1 })],
      [2, 3],
    ],
    [
      'the epoch falls',
      [reset(10, 3, 2), committed(20, 3, { epoch: 2 }), committed(30, 3, { epoch: 1 })],
      [1, 3],
    ],
  ],
});
